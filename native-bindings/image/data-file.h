/**
 * One data file: sparse, exactly as long as its image, with the residency table that says what of it may be served.
 *
 * Held by std::shared_ptr: the descriptor is closed when the last native thread, binding or pending operation lets go.
 * The table can outlive it, because JavaScript sees that memory until it is collected.
 */
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mutex.h"
#include "owned-fd.h"
#include "residency/geometry.h"
#include "residency/table.h"
#include "result.h"
#include "disk/disk-file.h"
#include "image/block-proof.h"
#include "image/hit-counts.h"
#include "image/bypassed-pages.h"
#include "image/drop-behind.h"
#include "image/resident-read.h"
#include "image/readahead-buffer.h"
#include "image/inflight-table.h"
#include "image/miss-engine.h"

namespace parentfs::image {

/** May a read wait for the disk? `no_io`: nor begin to read from it, see disk::DiskFile::read_without_io. */
enum class Blocking { no_io, no, yes };

/** The medium of bytes: the page cache, where the next reader finds them in memory, or the disk itself. */
enum class Medium { page_cache, disk };

/** The outcome of writing an extent, one entry per block of the extent. */
struct WrittenBlocks {
  std::vector<std::uint32_t> sums;
  /** Bit k: block k is all zeros and was punched. */
  std::uint64_t zero = 0;
  /** Bytes that are shared with another file instead of written. */
  std::uint64_t cloned_bytes = 0;
};

class DataFile;

/** Another file with blocks of an extent: the offset of each there, negative for none. */
struct CloneSource {
  const DataFile* file = nullptr;
  std::span<const std::int64_t> offsets;
};

using Sums = std::array<std::uint32_t, residency::blocks_per_object>;

/** The outcome of a verification, one bit a block. Blocks in neither mask are there and wrong. */
struct Verified {
  std::uint64_t good = 0;
  /** The disk gave an error. */
  std::uint64_t unread = 0;
};

class DataFile {
 public:
  /**
   * EINVAL for a block size that is none, EFBIG when the file is longer than `size_bytes`, or for more than a table has entries for: then
   * there is no file.
   */
  static Result<std::shared_ptr<DataFile>> open(const std::string& path, std::uint64_t size_bytes,
                                                std::uint32_t block_bytes, disk::FaultInjection* faults = nullptr,
                                                disk::InflightReads* reads = nullptr,
                                                std::shared_ptr<MissEngine> misses = nullptr);

  DataFile(disk::DiskFile disk, std::shared_ptr<residency::Table> table, const residency::Geometry& geometry,
           std::shared_ptr<InflightTable> inflight)
      : disk_(std::move(disk)), table_(std::move(table)), geometry_(geometry), bypassed_(geometry.size_bytes()), inflight_(std::move(inflight)) {}

  [[nodiscard]] int fd() const { return disk_.fd(); }
  [[nodiscard]] const residency::Geometry& geometry() const { return geometry_; }
  [[nodiscard]] const std::shared_ptr<residency::Table>& table() const { return table_; }

  /** Hits answered from it. */
  [[nodiscard]] HitCounts& hits() { return hits_; }
  /** Of buffered readers. */
  [[nodiscard]] DropBehind& streams() { return streams_; }
  /** The prefetched ranges of it. */
  [[nodiscard]] ReadaheadBuffer& shelf() { return shelf_; }
  /** Say that the objects of a range within the image are used now. */
  void touch(std::uint64_t offset, std::size_t length, std::uint32_t tick) const;

  /** Read resident bytes, at most `claim_bytes_max`. Never waits for the disk without patience. */
  [[nodiscard]] ReadOutcome read(std::uint64_t offset, std::span<std::byte> target, Blocking patience,
                                 std::uint32_t tick, disk::Pages pages = disk::Pages::leave) const;
  /** The same for another host: recency stays as it is. */
  [[nodiscard]] ReadOutcome read_for_other(std::uint64_t offset, std::span<std::byte> target, Blocking patience) const;
  /**
   * Put the pages of resident bytes, at most `claim_bytes_max`, into an empty pipe. They stay as they are there, also
   * when the bytes are evicted. Never waits for the disk. Only where `can_splice`.
   */
  [[nodiscard]] ReadOutcome splice(std::uint64_t offset, std::size_t length, int pipe) const;
  /**
   * Does no folio of the page cache reach into another object? A punch zeroes its part of such a folio in place, also
   * under those who have it; whole ones leave the file as they are. Source: Linux mm/truncate.c,
   * truncate_inode_partial_folio.
   */
  [[nodiscard]] bool can_splice() const;
  /** The same for any length, with full patience. */
  [[nodiscard]] bool read_all(std::uint64_t offset, std::span<std::byte> target, std::uint32_t tick) const;

  /** Blocks of it that are on their way from the origin. Null where all misses are TypeScript's. */
  [[nodiscard]] const std::shared_ptr<InflightTable>& inflight() const { return inflight_; }

  /**
   * Write whole blocks (at most 64) and say their checksums; runs of zero blocks are punched instead. EINVAL when the
   * range is not of whole blocks, or lies outside of the image.
   * @param medium `disk` leaves nothing in the page cache, where `bytes` begin at a page and the file system can
   * @param source blocks of which the file system may share the place, as long as they are these bytes
   */
  [[nodiscard]] Result<WrittenBlocks> write_blocks(std::uint64_t offset, std::span<const std::byte> bytes,
                                    Medium medium = Medium::page_cache, const CloneSource& source = {});

  /**
   * Verify `blocks` of `object`: those with the right checksum, whatever the table says, and those that could not be
   * read.
   * @param medium `disk` neither trusts nor changes the page cache; a file system that cannot read past it is read
   * through it
   * @param scratch room for at least one block, aligned to a page
   * @param proof of a sealed image: blocks that it finds wrong are not good, whatever their checksum
   */
  [[nodiscard]] Verified verify(std::uint64_t object, std::uint64_t blocks, const Sums& sums, Medium medium,
                                std::span<std::byte> scratch, const BlockProof* proof = nullptr) const;
  /** `length` may reach past the end; the size stays. @returns 0 or an errno */
  [[nodiscard]] int punch(std::uint64_t offset, std::uint64_t length) const { return disk_.punch(offset, length); }
  /** Drop the pages that a stream has left behind in a range. May wait for the disk. @returns 0 or an errno */
  int drop_pages(std::uint64_t offset, std::uint64_t length);
  /** A random reader had to wait for the disk at `offset`: what was bypassed there comes into the page cache. */
  void bring_back(std::uint64_t offset);
  /** fdatasync. @returns 0 or an errno */
  [[nodiscard]] int sync() const { return disk_.sync(); }

 private:
  /** @returns how many there are */
  [[nodiscard]] std::size_t read_bytes(std::uint64_t offset, std::span<std::byte> target, Blocking patience,
                                       disk::Pages pages) const;
  /** Blocks that are not zeros, shared where they can be. @returns 0 or an errno */
  [[nodiscard]] int write_data(std::uint64_t offset, std::span<const std::byte> bytes, int direct_fd,
                               const CloneSource& source, std::uint64_t& cloned_bytes) const;

  disk::DiskFile disk_;
  /** Until the file system has refused once. */
  mutable std::atomic<bool> may_clone_{true};
  std::shared_ptr<residency::Table> table_;
  residency::Geometry geometry_;
  HitCounts hits_;
  DropBehind streams_;
  ReadaheadBuffer shelf_;
  BypassedPages bypassed_;
  std::shared_ptr<InflightTable> inflight_;
};

}  // namespace parentfs::image
