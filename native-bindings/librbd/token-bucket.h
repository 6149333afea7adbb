/** Token bucket: a rate with a burst, for one thread at a time. */
#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

namespace parentfs::librbd {

class TokenBucket {
 public:
  using Clock = std::chrono::steady_clock;

  /** @param per_second 0: without a limit. @param burst 0: what comes in a second */
  void set(double per_second, double burst, Clock::time_point now) {
    refill(now);
    per_second_ = per_second;
    burst_ = burst > 0 ? burst : per_second;
    // A rate that is new begins with its burst.
    if (!std::exchange(is_set_, true)) tokens_ = burst_;
    tokens_ = std::min(tokens_, burst_);
  }

  /** Is there something left? Then all of it may be taken, and the bucket owes the rest. */
  [[nodiscard]] bool may_take(Clock::time_point now) {
    if (per_second_ <= 0) return true;
    refill(now);
    return tokens_ > 0;
  }

  void take(double tokens) {
    if (per_second_ > 0) tokens_ -= tokens;
  }

 private:
  void refill(Clock::time_point now) {
    const std::chrono::duration<double> passed = now - at_;
    at_ = now;
    tokens_ = std::min(burst_, tokens_ + passed.count() * per_second_);
  }

  double per_second_ = 0;
  double burst_ = 0;
  double tokens_ = 0;
  bool is_set_ = false;
  Clock::time_point at_ = Clock::now();
};

}  // namespace parentfs::librbd
