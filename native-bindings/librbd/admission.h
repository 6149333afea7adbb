/**
 * Admission: the share of objects that are fetched when clients use more than the cache holds. An object that was
 * evicted and is asked for again shows that: fetching it again would evict another one that is in use.
 *
 * Objects are chosen by a hash of their node, so the same ones stay in the cache, and reads of the others cost what they
 * cost without a cache. The share falls with each refetch and grows by itself. For one thread at a time.
 */
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace parentfs::librbd {

/** Fibonacci hashing of a node: neighbouring objects come to lie apart. */
inline constexpr std::uint64_t hash_of_node(std::uint64_t node) { return node * 0x9E3779B97F4A7C15ULL; }

class Admission {
 public:
  using Clock = std::chrono::steady_clock;
  /** A sixteenth is always fetched: what is asked for may change. */
  static constexpr double share_min = 1.0 / 16;
  /** Eleven refetches halve the share; a quiet cache has all of it back in about a minute. */
  static constexpr double falls_by = 1.0 / 16;
  static constexpr double grows_per_second = 1.0 / 64;

  /** Is the object among those that are fetched now? */
  [[nodiscard]] bool admits(std::uint64_t node, Clock::time_point now) {
    const std::chrono::duration<double> passed = now - at_;
    at_ = now;
    share_ = std::min(1.0, share_ + std::max(0.0, passed.count()) * grows_per_second);
    if (share_ >= 1.0) return true;
    // The highest 32 bits are the best mixed.
    return static_cast<double>(hash_of_node(node) >> 32U) < share_ * 4294967296.0;
  }

  /** One that was evicted is fetched again. */
  void refetched() { share_ = std::max(share_min, share_ * (1.0 - falls_by)); }
  [[nodiscard]] double share() const { return share_; }

 private:
  double share_ = 1.0;
  Clock::time_point at_ = Clock::now();
};

}  // namespace parentfs::librbd
