/**
 * Locked file: its pages stay in memory, for readers through mappings of their own. Such a reader gets no SIGBUS from a
 * failing disk, and waits for no hanging one.
 *
 * The page cache is one for all mappings of a file: pages that one of them has locked, none has to read. Written bytes
 * are in the page cache anyway, until the kernel takes them away; so it is enough to lock them afterwards.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "mutex.h"
#include "owned-fd.h"
#include "result.h"

namespace parentfs::disk {

class LockedFile {
 public:
  /** The locked bytes, and the bytes of the file. */
  struct Extent {
    std::uint64_t locked_bytes;
    std::uint64_t size_bytes;
  };

  LockedFile(std::string path, std::uint64_t bytes_max) : path_(std::move(path)), bytes_max_(bytes_max) {}
  ~LockedFile();
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;

  /**
   * Lock the growth of the file since the last time, up to `bytes_max` and as far as the process may; the rest is no
   * error. May wait for the disk.
   */
  Result<Extent> extend() EXCLUDES(mutex_);

 private:
  struct Mapping {
    void* memory;
    std::size_t bytes;
  };

  const std::string path_;
  const std::uint64_t bytes_max_;
  Mutex mutex_;
  OwnedFd fd_ GUARDED_BY(mutex_);
  std::vector<Mapping> mappings_ GUARDED_BY(mutex_);
  std::uint64_t locked_bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace parentfs::disk
