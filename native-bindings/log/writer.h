/**
 * Log writer: a thread of its own writes the lines of a log, so that a caller never waits for the disk, the pipe or the
 * terminal behind a descriptor.
 *
 * Its queue is bounded. A line that has no room, or that cannot be written, is lost and counted, whatever the reason
 * is; as soon as a write works again, one line at that place says how many are missing.
 */
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "owned-fd.h"

namespace parentfs::log {

struct WriterOptions {
  /** Of lines that wait to be written; each counts what it takes in memory. */
  std::size_t queued_bytes_max;
  /** The pause, while nothing more is logged, before it is tried again to say how many lines are missing. */
  std::chrono::milliseconds retry_pause;
  /** The line, with its end, that says so. Called by the thread. */
  std::function<std::string(std::uint64_t lost)> notice;
  /** write(2), or what a test puts in its place. */
  ssize_t (*write)(int fd, const void* bytes, std::size_t count) = ::write;
};

class Writer {
 public:
  /**
   * @param fd may be shared with other processes: its flags stay as they are
   * @throws std::system_error when there can be no thread
   */
  Writer(OwnedFd fd, WriterOptions options);
  /** Does not wait: queued lines are dropped, and the thread goes when it can. */
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /** @param line with its end. @returns false when there is no room for it: then it is lost */
  bool write(std::string line);
  /** Wait until nothing is queued. @returns false when that took longer than `wait`, in which this process could run */
  bool flush(std::chrono::milliseconds wait);
  /** Lines that were not written and never will be, since the begin. */
  [[nodiscard]] std::uint64_t lost() const;

 private:
  /** Outlives us for as long as the kernel holds the thread. */
  class Work;
  std::shared_ptr<Work> work_;
};

}  // namespace parentfs::log
