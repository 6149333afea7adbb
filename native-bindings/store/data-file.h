/**
 * One data file: sparse, exactly as long as its image, with the residency table that says what of it may be served.
 *
 * Held by std::shared_ptr: the descriptor is closed when the last native thread, binding or pending operation lets go.
 * The table can outlive it, because JavaScript sees that memory until it is collected.
 */
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "owned-fd.h"
#include "residency/geometry.h"
#include "residency/table.h"
#include "result.h"
#include "store/resident-read.h"

namespace parentfs::store {

/** May a read wait for the disk? */
enum class Patience { none, full };

/** Where verification takes bytes from: whoever is to read them next, or what the disk itself has. */
enum class Medium { page_cache, disk };

/** What landing an extent told us, one entry per block of the extent. */
struct Landed {
  std::vector<std::uint32_t> sums;
  /** Bit k: block k is all zeros and was punched. */
  std::uint64_t zero = 0;
};

using Sums = std::array<std::uint32_t, residency::blocks_per_object>;

class DataFile {
 public:
  /** EINVAL for a block size that is none, EFBIG when the file is longer than `size_bytes`. */
  static Result<std::shared_ptr<DataFile>> open(const std::string& path, std::uint64_t size_bytes,
                                                std::uint32_t block_bytes);

  DataFile(OwnedFd fd, std::shared_ptr<residency::Table> table, const residency::Geometry& geometry)
      : fd_(std::move(fd)), table_(std::move(table)), geometry_(geometry) {}

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const residency::Geometry& geometry() const { return geometry_; }
  [[nodiscard]] const std::shared_ptr<residency::Table>& table() const { return table_; }

  /** Read resident bytes, at most `claim_bytes_max`. Never waits for the disk without patience. */
  [[nodiscard]] ReadOutcome read(std::uint64_t offset, std::span<std::byte> target, Patience patience,
                                 std::uint32_t tick) const;
  /** The same for any length, with full patience. */
  [[nodiscard]] bool read_all(std::uint64_t offset, std::span<std::byte> target, std::uint32_t tick) const;

  /**
   * Write whole blocks (at most 64) and say their checksums; runs of zero blocks are punched instead. EINVAL when the
   * range is not of whole blocks, or lies outside of the image.
   */
  [[nodiscard]] Result<Landed> land(std::uint64_t offset, std::span<const std::byte> bytes) const;

  /**
   * Which of the blocks of `object` named by `blocks` have the right checksum, whatever the table says? An error reads
   * as "not right".
   * @param medium `disk` neither trusts nor changes the page cache; a file system that cannot read past it is read
   * through it
   * @param scratch room for at least one block, aligned to a page
   */
  [[nodiscard]] std::uint64_t verify(std::uint64_t object, std::uint64_t blocks, const Sums& sums, Medium medium,
                                     std::span<std::byte> scratch) const;

 private:
  OwnedFd fd_;
  std::shared_ptr<residency::Table> table_;
  residency::Geometry geometry_;
};

}  // namespace parentfs::store
