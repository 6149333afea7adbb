/**
 * The system calls on the bytes of one data file: the only place where native code reads, writes, punches or syncs one,
 * and so the place where tests let the disk fail (faults.h).
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "owned-fd.h"
#include "store/faults.h"
#include "store/reads-under-way.h"

namespace parentfs::store {

/** How far a read came. */
struct DiskRead {
  /** Fewer than asked at the end of the file, or after an error. */
  std::size_t bytes;
  /** 0 or an errno. */
  int error;
};

class DiskFile {
 public:
  /** @param faults, reads null, or outlive this */
  DiskFile(OwnedFd fd, Faults* faults, ReadsUnderWay* reads) : fd_(std::move(fd)), faults_(faults), reads_(reads) {}

  [[nodiscard]] int fd() const { return fd_.get(); }

  /** What the page cache has of a range right now: fewer bytes than asked, or none, when it does not have it all. */
  [[nodiscard]] std::size_t read_cached(std::uint64_t offset, std::span<std::byte> target) const;
  /** Waits for the disk. */
  [[nodiscard]] DiskRead read(std::uint64_t offset, std::span<std::byte> target) const;
  /**
   * Past the page cache, by `direct_fd`; through it where the file system cannot, or where that is -1.
   * @param target begins at a page, with room up to the next one after `length` bytes
   */
  [[nodiscard]] DiskRead read_uncached(int direct_fd, std::uint64_t offset, std::span<std::byte> target,
                                       std::size_t length) const;
  /** All of it. @returns 0 or an errno */
  [[nodiscard]] int write(std::uint64_t offset, std::span<const std::byte> bytes) const;
  /** @returns 0 or an errno; nothing is no error */
  [[nodiscard]] int punch(std::uint64_t offset, std::uint64_t length) const;
  /** fdatasync. @returns 0 or an errno */
  [[nodiscard]] int sync() const;

 private:
  OwnedFd fd_;
  Faults* faults_;
  ReadsUnderWay* reads_;
};

}  // namespace parentfs::store
