/**
 * The system calls on the bytes of one data file: the only place where native code reads, writes, punches or syncs one,
 * and so the place where tests let the disk fail (faults.h).
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "owned-fd.h"
#include "disk/fault-injection.h"
#include "disk/inflight-reads.h"
#include "syscalls/files.h"

namespace parentfs::disk {

/** The outcome of a read. */
struct DiskRead {
  /** Fewer than asked at the end of the file, or after an error. */
  std::size_t bytes;
  /** 0 or an errno. */
  int error;
};

/** The fate of the pages that a read brings into the page cache. */
enum class Pages {
  /** They stay: the only copy in memory, for whoever reads next. */
  leave,
  /** They go at once, for the reader has a page cache of its own; what was there before stays. */
  drop,
  /** They go when the reader has come further (drop-behind.h): the kernel reads ahead in larger units than he asks for. */
  drop_behind,
};

/** `failed`: the range is not these bytes, and any of it may have changed. `impossible`: the file system never can. */
enum class Cloned { shared, failed, impossible };

class DiskFile {
 public:
  /** @param faults, reads null, or outlive this */
  DiskFile(OwnedFd fd, FaultInjection* faults, InflightReads* reads)
      : fd_(std::move(fd)),
        drop_flag_(syscalls::can_read_with(fd_.get(), syscalls::read_leaving_no_pages) ? syscalls::read_leaving_no_pages : 0),
        faults_(faults),
        reads_(reads) {}

  [[nodiscard]] int fd() const { return fd_.get(); }

  /**
   * Read without waiting: as much of a range as the page cache has right now, fewer bytes than asked or none. The kernel
   * then begins to read the rest, with what lies behind it.
   */
  [[nodiscard]] std::size_t read_cached(std::uint64_t offset, std::span<std::byte> target, Pages pages) const;
  /**
   * The same of a range that the page cache has whole; of another one, or where that cannot be told, nothing, and the kernel
   * begins to read nothing. A begin waits, too, for the disk whose queue is full. Source: Linux block/blk-mq-tag.c, blk_mq_get_tag.
   */
  [[nodiscard]] std::size_t read_without_io(std::uint64_t offset, std::span<std::byte> target, Pages pages) const;
  /** Waits for the disk. */
  [[nodiscard]] DiskRead read(std::uint64_t offset, std::span<std::byte> target, Pages pages = Pages::leave) const;
  /**
   * Put the pages of a range into an empty pipe with room for them, without a copy and without waiting for the disk.
   * @returns false when the page cache lacks some; the pipe may have others then
   */
  [[nodiscard]] bool splice_cached(std::uint64_t offset, std::size_t length, int pipe) const;
  /**
   * Past the page cache, by `direct_fd`; through it where the file system cannot, or where that is -1.
   * @param target begins at a page, with room up to the next one after `length` bytes
   */
  [[nodiscard]] DiskRead read_uncached(int direct_fd, std::uint64_t offset, std::span<std::byte> target,
                                       std::size_t length) const;
  /**
   * All of it; past the page cache by `direct_fd`, if that is not -1, as far as it is whole pages in memory and on the disk, and
   * the file system can.
   * @returns 0 or an errno
   */
  [[nodiscard]] int write(std::uint64_t offset, std::span<const std::byte> bytes, int direct_fd = -1) const;
  /**
   * Share a range of `source` instead of writing it, and read it back.
   * @param bytes what lies there
   */
  [[nodiscard]] Cloned clone(const DiskFile& source, std::uint64_t source_offset, std::uint64_t offset,
                           std::span<const std::byte> bytes) const;
  /** @returns 0 or an errno; nothing is no error */
  [[nodiscard]] int punch(std::uint64_t offset, std::uint64_t length) const;
  /** fdatasync. @returns 0 or an errno */
  [[nodiscard]] int sync() const;

 private:
  [[nodiscard]] int flags(Pages pages) const { return pages == Pages::drop ? drop_flag_ : 0; }

  OwnedFd fd_;
  /** Of preadv2, for `Pages::drop`; 0 where kernel or file system cannot: then pages stay. */
  int drop_flag_;
  FaultInjection* faults_;
  InflightReads* reads_;
};

}  // namespace parentfs::disk
