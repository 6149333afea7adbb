/**
 * A file whose pages stay in memory, for whoever reads it through a mapping of their own: such a reader gets no SIGBUS from a disk
 * that fails, and waits for none that hangs.
 *
 * The page cache is one for all mappings of a file; what one of them has locked, none has to read. What is written to the file
 * is in the page cache anyway, until the kernel takes it away; so it is enough to lock it afterwards.
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
  /** What is locked, of how much. */
  struct Extent {
    std::uint64_t locked_bytes;
    std::uint64_t size_bytes;
  };

  LockedFile(std::string path, std::uint64_t bytes_max) : path_(std::move(path)), bytes_max_(bytes_max) {}
  ~LockedFile();
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;

  /**
   * Lock what the file has grown by since the last time, up to `bytes_max` and as far as the process may; the rest is no
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
