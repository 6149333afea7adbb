/**
 * Abandonable reads: READs on their way over a store thread. The claimant of one answers it, exactly once: the store
 * thread that has its bytes, or the session when that takes too long.
 *
 * A store thread that hangs in the kernel cannot be called back. It holds its entry alone. When it comes back and the
 * entry is claimed, it releases that and touches nothing else, so that its session need not wait for it.
 */
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "mutex.h"
#include "session/session-thread.h"

namespace parentfs::session {

class AbandonableReads {
 public:
  class Entry {
   public:
    Entry(DeferredRead read, std::span<const std::byte> request)
        : read_(std::move(read)), request_(request.begin(), request.end()) {}

    [[nodiscard]] const DeferredRead& read() const { return read_; }
    /** As it came from the kernel. */
    [[nodiscard]] std::span<const std::byte> request() const { return request_; }
    /** @returns true for one caller: it answers, and calls `done` */
    [[nodiscard]] bool claim() { return !claimed_.exchange(true, std::memory_order_acq_rel); }
    /** The time that it has been waited for. */
    [[nodiscard]] std::chrono::nanoseconds age() const { return std::chrono::steady_clock::now() - since_; }
    [[nodiscard]] bool claimed() const { return claimed_.load(std::memory_order_acquire); }
    /** It is reported that it waits; who answers it need not say so. */
    void set_begun() { begun_.store(true, std::memory_order_release); }
    [[nodiscard]] bool begun() const { return begun_.load(std::memory_order_acquire); }

   private:
    friend class AbandonableReads;
    DeferredRead read_;
    std::vector<std::byte> request_;
    std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
    std::atomic<bool> claimed_{false};
    std::atomic<bool> begun_{false};
    /** Its place in `entries_`. */
    std::list<std::shared_ptr<Entry>>::iterator place_;
  };
  using Entries = std::vector<std::shared_ptr<Entry>>;

  [[nodiscard]] std::shared_ptr<Entry> add(DeferredRead read, std::span<const std::byte> request) EXCLUDES(mutex_);
  /** Entries that are not done. From any thread, and cheap. */
  [[nodiscard]] std::size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }
  /** A claimed entry has been answered. Nothing of its session may be used after this. */
  void done(const Entry& entry) EXCLUDES(mutex_);
  /** SeqlockRead what waits for longer than `age`. The caller answers each, and calls `done`. */
  [[nodiscard]] Entries claim_older(std::chrono::milliseconds age) EXCLUDES(mutex_);
  /**
   * Wait until each entry is done: for `patience` in any case, then only for claimed ones. The rest is claimed and
   * dropped.
   */
  void drain(std::chrono::milliseconds patience) EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  Condition changed_;
  std::atomic<std::size_t> waiting_{0};
  /** In the order of `since_`. */
  std::list<std::shared_ptr<Entry>> entries_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::session
