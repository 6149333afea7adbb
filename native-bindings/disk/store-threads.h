/**
 * The threads that wait for the disk, so that neither the threads on /dev/fuse nor the event loop do.
 *
 * Two queues: a thread takes reads first, and at most three quarters of the threads are busy with writes, punches and
 * syncs at once; so one slow fdatasync, or many, leave threads for readers. The queues are unbounded here: their
 * callers bound what they submit (the kernel its requests, TypeScript its promotions).
 */
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "mutex.h"

namespace parentfs::disk {

/** The queue of a job: with a waiter, or without. */
enum class Lane { read, write };

class StoreThreads {
 public:
  /** The work of a thread. Its argument is that thread's own buffer, `scratch_bytes` long and aligned to a page. */
  using Job = std::function<void(std::span<std::byte> scratch)>;
  /** A page for a header, and the longest READ. */
  static constexpr std::size_t scratch_bytes = 4096 + 1024 * 1024;

  explicit StoreThreads(unsigned count);
  /** Ends the threads, once their queues are empty. */
  ~StoreThreads() { close(); }
  StoreThreads(const StoreThreads&) = delete;
  StoreThreads& operator=(const StoreThreads&) = delete;

  /** @returns false when the threads are ending: then the job is not run. */
  [[nodiscard]] bool submit(Lane lane, Job job) EXCLUDES(mutex_);
  /** Refuse new jobs, do those that are queued, and wait for the threads. Idempotent; never call it from a job. */
  void close() EXCLUDES(mutex_);

 private:
  void work() EXCLUDES(mutex_);
  bool next(Lane& lane, Job& job) REQUIRES(mutex_);

  Mutex mutex_;
  Condition changed_;
  std::deque<Job> reads_ GUARDED_BY(mutex_);
  std::deque<Job> writes_ GUARDED_BY(mutex_);
  // INVARIANT: writing_ <= writing_max_
  unsigned writing_ GUARDED_BY(mutex_) = 0;
  const unsigned writing_max_;
  unsigned reading_ GUARDED_BY(mutex_) = 0;
  // Reads leave the rest to writes that wait: a write that never runs ends in a disk that counts as stalled.
  const unsigned reading_max_;
  bool closing_ GUARDED_BY(mutex_) = false;
  Mutex joining_;
  std::vector<std::thread> threads_ GUARDED_BY(joining_);
};

}  // namespace parentfs::disk
