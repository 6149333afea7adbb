/**
 * Session: threads on one /dev/fuse descriptor. READ hits are answered here; every other request is queued for the
 * listener.
 *
 * The descriptor is the caller's, and is not closed. A session ends once: stopped (0), unmounted (ENODEV), or with the
 * errno of read(2). By then all its threads have ended and no answer is under way on a store thread: one that still
 * waits for the disk after `stop_patience` gives none any more.
 */
#pragma once

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "disk/store-threads.h"
#include "mutex.h"
#include "session/abandonable-reads.h"
#include "session/latencies.h"
#include "session/read-reports.h"
#include "session/request-queue.h"
#include "session/session-thread.h"

namespace parentfs::session {

class Session final : private RequestSink {
 public:
  /** The time that the end waits for answers from the disk: far longer than a healthy one takes. */
  static constexpr std::chrono::milliseconds stop_patience{2000};

  /**
   * READs that wait for the disk before session threads begin no more reads of it: a disk that hangs holds a thread that
   * does, once its queue is full. Linux queues 64 requests of a SATA disk, and a READ may be several.
   */
  static constexpr std::size_t waiting_for_disk_max = 16;

  struct Events {
    /**
     * `take_requests` or `take_reports` have something. Called from any thread, once for each until taken; must not
     * block.
     */
    std::function<void()> on_waiting;
    /** The session is over. Called once, from a thread of its own; nothing follows. */
    std::function<void(int error)> on_end;
  };

  /** Starts at once. `store_threads` and `clock` outlive the session. */
  Session(int fd, unsigned threads, disk::StoreThreads& store_threads, const Clock& clock, Events events,
          Addressing addressing = Addressing::by_handle);
  /** Stops it and waits. */
  ~Session() override;

  void bind(std::uint64_t fh, const std::shared_ptr<image::DataFile>& file);
  /** Afterwards no session thread reads that handle's file; store threads may still finish theirs. */
  void unbind(std::uint64_t fh);
  /** LOOKUPs of its objects are answered like this from now on; see ObjectEntries. */
  void set_entry(std::uint64_t image, std::uint64_t size_bytes, const ObjectEntries::Entry& entry);
  void remove_entry(std::uint64_t image);
  /** `error` 0 or a positive errno. @returns 0 or the errno of the write */
  [[nodiscard]] int reply(std::uint64_t unique, int error, std::span<const std::byte> bytes) const;
  /** @returns 0 or the errno of the write */
  [[nodiscard]] int notify(int code, std::span<const std::byte> bytes) const;
  [[nodiscard]] std::vector<std::byte> take_requests() { return requests_.take(); }
  [[nodiscard]] std::vector<std::byte> take_reports() { return reports_.take(); }
  /** Are there reports that may wait for others, or such that may not? */
  [[nodiscard]] bool has_reports() { return !reports_.empty(); }
  [[nodiscard]] bool reports_urgent() { return reports_.urgent(); }
  /**
   * May a hit that the page cache does not answer go to a store thread? Otherwise it is handed over, and so is each where
   * nobody can tell what the page cache has.
   */
  void defer_reads(bool allowed) { may_defer_.store(allowed, std::memory_order_relaxed); }
  /**
   * Hand over what a store thread has not answered within `age`; its answer is dropped when it comes.
   * @returns how many
   */
  [[nodiscard]] std::size_t forward_overdue(std::chrono::milliseconds age);
  /**
   * Hand over reads that the origin has not answered within `age`, likewise. Their fetches are the engine's to abandon.
   * @returns the number of reads
   */
  std::size_t forward_unanswered(std::chrono::milliseconds age);
  [[nodiscard]] Counters counters() const;
  /** Uses of the sampled objects since the last call. From one thread. */
  [[nodiscard]] std::vector<UseSamples::Sample> take_samples();
  /** Those that found no room. */
  [[nodiscard]] std::uint64_t dropped_samples() const;
  /** Of hits that the page cache answered. */
  [[nodiscard]] Latencies::Counts memory_latencies() const;
  /** Of hits that store threads answered. */
  [[nodiscard]] Latencies::Counts disk_latencies() const { return deferred_latencies_.counts(); }
  /** Ask all threads to end; `on_end` says when they have. Idempotent. */
  void stop() EXCLUDES(mutex_);
  /** Wait until `on_end` has returned. Idempotent, from one thread. */
  void join();

 private:
  using Fetches = std::span<const std::shared_ptr<image::InflightFetch>>;

  struct Worker {
    Worker(int fd, std::size_t lane, const Clock& clock, RequestSink& sink, Addressing addressing)
        : thread(fd, lane, clock, sink, addressing) {}
    SessionThread thread;
    std::thread handle;
    bool ended = false;
  };

  void forward(std::span<const std::byte> request) override;
  /** The same of one that has waited for an origin. */
  void hand_over(std::span<const std::byte> request, std::chrono::nanoseconds waited);
  void defer(DeferredRead read, std::span<const std::byte> request) override;
  bool may_begin_io() const override;
  void buffer_touched(const ReadRange& read) override;
  void passed(const std::shared_ptr<image::DataFile>& file, std::uint64_t offset, std::size_t length) override;
  bool fetch(DeferredRead read, std::span<const std::byte> request) override;
  /** Of a claimed entry, when its fetches are over. */
  void finish_fetched(AbandonableReads::Entry& entry, Fetches fetches, bool right);
  /** Answer from what the fetches brought and what is resident. @returns false when something is missing after all */
  [[nodiscard]] bool answer_fetched(const DeferredRead& read, Fetches fetches) const;
  /** Of a claimed entry; a hit's bytes are in the reply buffer in `scratch`. */
  void finish_deferred(AbandonableReads::Entry& entry, std::span<std::byte> scratch, bool hit);
  void report(std::uint32_t kind, const DeferredRead& read, std::chrono::nanoseconds took = {});
  void work(Worker& worker) EXCLUDES(mutex_);
  void supervise() EXCLUDES(mutex_);
  void wait_for_workers() REQUIRES(mutex_);

  const int fd_;
  disk::StoreThreads& store_threads_;
  const Clock& clock_;
  const Events events_;
  RequestQueue requests_;
  ReadReports reports_;
  std::atomic<std::uint64_t> forwarded_{0};
  std::atomic<std::uint64_t> deferred_hits_{0};
  std::atomic<std::uint64_t> deferred_hit_bytes_{0};
  Latencies deferred_latencies_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> may_defer_{true};
  AbandonableReads deferred_;
  AbandonableReads fetched_;
  Mutex mutex_;
  Condition changed_;
  int error_ GUARDED_BY(mutex_) = 0;
  std::size_t running_ GUARDED_BY(mutex_) = 0;
  // Filled before any thread starts, and not changed after: `ended` alone is, under mutex_.
  std::vector<std::unique_ptr<Worker>> workers_;
  std::thread supervisor_;
};

}  // namespace parentfs::session
