/**
 * File reader: the origin reader of one version of a file in a directory.
 *
 * Its reads run on detached threads of their origin: a network file system that hangs keeps those, and none that the
 * cache's disk needs. An answer is right when the file was that version before and after the read.
 */
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "image/origin-reader.h"
#include "mutex.h"
#include "owned-fd.h"
#include "syscalls/files.h"
#include "threads/detached-pool.h"

namespace parentfs::image {

/** The threads of one origin, which its readers share. */
struct FileThreads {
  /** More threads read no file faster: each is a request at the disk or the server. */
  static constexpr std::uint32_t threads_max = 8;
  /** Reads that wait for one: as many as an origin is granted at most, half of 1024 requests. */
  static constexpr std::uint32_t waiting_max = 512;

  threads::DetachedPool pool{threads_max, waiting_max};
};

/** As `syscalls::read_some`. */
using ReadSome = std::function<ssize_t(int fd, std::uint64_t offset, std::span<std::byte> target, int flags)>;

class FileReader final : public OriginReader {
 public:
  /**
   * @param fd of this reader alone, open for reading
   * @param validator the version, see `validator_of`
   */
  FileReader(std::shared_ptr<FileThreads> threads, OwnedFd fd, std::string validator,
             ReadSome read_some = syscalls::read_some);

  bool read(std::uint64_t offset, std::span<std::byte> target, Done done) override EXCLUDES(mutex_);
  /** Nothing is read any more; the descriptor is closed with the last read that is under way. Idempotent. */
  void close() EXCLUDES(mutex_);

 private:
  struct File;

  const std::shared_ptr<FileThreads> threads_;
  Mutex mutex_;
  std::shared_ptr<const File> file_ GUARDED_BY(mutex_);
};

/**
 * The version of the file behind `fd` in the words of src/origin/file/file-origin.ts: device, inode, size, and both
 * times in nanoseconds. Empty when the file cannot be looked at.
 */
std::string validator_of(int fd);

}  // namespace parentfs::image
