/** The rate at which a host sends to others: bytes that TypeScript and native threads send have their turns in one row. */
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace parentfs::serving {

class SendingRate {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = std::chrono::nanoseconds;

  /** @param bytes_per_second above 0 */
  void set(double bytes_per_second) { ns_per_byte_.store(1e9 / bytes_per_second, std::memory_order_relaxed); }

  /** @returns the wait until bytes that are sent from now on are over; 0 or more */
  Time book(std::uint64_t bytes, Clock::time_point now) {
    const std::int64_t at = now.time_since_epoch().count();
    std::int64_t next = next_ns_.load(std::memory_order_relaxed);
    std::int64_t after = 0;
    do after = end_of(bytes, at, next);
    while (!next_ns_.compare_exchange_weak(next, after, std::memory_order_relaxed));
    return Time(std::max<std::int64_t>(0, after - at));
  }

  /** Book them where that needs no wait. @returns false where it does: nothing is booked then */
  bool try_book(std::uint64_t bytes, Clock::time_point now) {
    const std::int64_t at = now.time_since_epoch().count();
    std::int64_t next = next_ns_.load(std::memory_order_relaxed);
    std::int64_t after = 0;
    do {
      after = end_of(bytes, at, next);
      if (after > at + unnoticed_ns) return false;
    } while (!next_ns_.compare_exchange_weak(next, after, std::memory_order_relaxed));
    return true;
  }

  /** The time until all that was booked is over; below 0: it is. */
  [[nodiscard]] Time behind(Clock::time_point now) const {
    return Time(next_ns_.load(std::memory_order_relaxed) - now.time_since_epoch().count());
  }

 private:
  /** A tenth of a second is made up for, so that timers do not cost rate. */
  static constexpr std::int64_t made_up_ns = 100'000'000;
  /** No timer is as exact. */
  static constexpr std::int64_t unnoticed_ns = 1'000'000;

  [[nodiscard]] std::int64_t end_of(std::uint64_t bytes, std::int64_t at, std::int64_t next) const {
    const double ns = static_cast<double>(bytes) * ns_per_byte_.load(std::memory_order_relaxed);
    return std::max(next, at - made_up_ns) + static_cast<std::int64_t>(ns);
  }

  std::atomic<double> ns_per_byte_{0};
  std::atomic<std::int64_t> next_ns_{0};
};

}  // namespace parentfs::serving
