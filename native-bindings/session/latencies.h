/**
 * Latency counters: one for each bucket, and the buckets double. Threads count, and a reader of the numbers adds up; no
 * lock, no call.
 *
 * Bucket k counts latencies of at most 2^k microseconds and more than half of that; the last one the rest.
 */
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace parentfs::session {

class Latencies {
 public:
  /** The same as `latencyBuckets` in src/base/latency-histogram.ts: up to 33.6 s, and one for what is longer. */
  static constexpr std::size_t buckets = 27;

  struct Counts {
    std::array<std::uint64_t, buckets> counts{};
    std::uint64_t nanoseconds = 0;

    void add(const Counts& other) {
      for (std::size_t k = 0; k < buckets; k++) counts[k] += other.counts[k];
      nanoseconds += other.nanoseconds;
    }
  };

  /** For a counter of one thread only: no locked instruction. */
  void count_alone(std::chrono::nanoseconds took) {
    const auto [bucket, nanoseconds] = placed(took);
    raise(counts_[bucket], 1);
    raise(nanoseconds_, nanoseconds);
  }

  /** From any thread. */
  void count_shared(std::chrono::nanoseconds took) {
    const auto [bucket, nanoseconds] = placed(took);
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    nanoseconds_.fetch_add(nanoseconds, std::memory_order_relaxed);
  }

  [[nodiscard]] Counts counts() const {
    Counts now;
    for (std::size_t k = 0; k < buckets; k++) now.counts[k] = counts_[k].load(std::memory_order_relaxed);
    now.nanoseconds = nanoseconds_.load(std::memory_order_relaxed);
    return now;
  }

 private:
  struct Place {
    std::size_t bucket;
    std::uint64_t nanoseconds;
  };

  static Place placed(std::chrono::nanoseconds took) {
    const auto nanoseconds = static_cast<std::uint64_t>(took.count() < 0 ? 0 : took.count());
    const std::uint64_t microseconds = (nanoseconds + 999) / 1000;
    const std::size_t bucket = microseconds <= 1 ? 0 : static_cast<std::size_t>(std::bit_width(microseconds - 1));
    return {.bucket = bucket < buckets ? bucket : buckets - 1, .nanoseconds = nanoseconds};
  }

  static void raise(std::atomic<std::uint64_t>& counter, std::uint64_t more) {
    counter.store(counter.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint64_t>, buckets> counts_{};
  std::atomic<std::uint64_t> nanoseconds_{0};
};

}  // namespace parentfs::session
