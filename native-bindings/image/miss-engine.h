/**
 * Miss engine: what the in-flight tables of all images share. It owns the memory of native fetches, knows all that are
 * under way, and tells TypeScript of their ends in batches.
 */
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "image/fetch-memory.h"
#include "image/inflight-fetch.h"
#include "mutex.h"

namespace parentfs::image {

class InflightTable;

class MissEngine {
 public:
  /** Bytes of native fetches, until they are in the store: 512 blocks of 64 KiB. More are TypeScript's, which queues. */
  static constexpr std::size_t memory_bytes = std::size_t{32} * 1024 * 1024;

  /** The end of a fetch. Its bytes stay until the last reference to it goes. */
  struct Report {
    std::shared_ptr<InflightTable> table;
    std::shared_ptr<InflightFetch> fetch;
    bool right;
    std::chrono::nanoseconds took{};
  };

  /** @param on_reports `take_reports` has something: from any thread, once until taken; must not block */
  explicit MissEngine(std::function<void()> on_reports) : on_reports_(std::move(on_reports)) {}

  [[nodiscard]] const std::shared_ptr<FetchMemory>& memory() const { return memory_; }
  /** A fetch under way of `length` bytes; null without room. */
  [[nodiscard]] std::shared_ptr<InflightFetch> make(std::weak_ptr<InflightTable> table, std::uint64_t object,
                                                    std::uint64_t blocks, std::uint64_t offset, std::size_t length)
      EXCLUDES(mutex_);
  /** It is not under way any more. */
  void ended(const InflightFetch& fetch) EXCLUDES(mutex_);
  void report(Report report) EXCLUDES(mutex_);
  /** A number for the table of another file. */
  [[nodiscard]] std::uint32_t next_file() { return files_.fetch_add(1, std::memory_order_relaxed) + 1; }
  [[nodiscard]] std::vector<Report> take_reports() EXCLUDES(mutex_);
  [[nodiscard]] bool has_reports() EXCLUDES(mutex_);
  /** Give up what is under way for longer than `age`: its readers are TypeScript's then. @returns the number of fetches */
  std::size_t abandon_older(std::chrono::milliseconds age) EXCLUDES(mutex_);
  /** Nothing is reported any more: a report refers to its table, and that to this. */
  void close() EXCLUDES(mutex_);

 private:
  struct UnderWay {
    std::weak_ptr<InflightTable> table;
    std::shared_ptr<InflightFetch> fetch;
  };

  const std::shared_ptr<FetchMemory> memory_ = std::make_shared<FetchMemory>(memory_bytes);
  std::atomic<std::uint32_t> files_{0};
  Mutex mutex_;
  std::function<void()> on_reports_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
  std::uint64_t last_id_ GUARDED_BY(mutex_) = 0;
  /** By id, so the oldest first. */
  std::map<std::uint64_t, UnderWay> under_way_ GUARDED_BY(mutex_);
  std::vector<Report> reports_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::image
