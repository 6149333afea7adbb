/**
 * Hit counts of one data file: reads answered natively, and their bytes.
 *
 * Each session thread has a lane, which is a cache line of its own: threads that serve one image do not take it from
 * each other.
 */
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace parentfs::image {

class HitCounts {
 public:
  struct Sum {
    std::uint64_t hits = 0;
    std::uint64_t bytes = 0;
  };

  /** Two threads on the same lane count rightly, too. */
  void add(std::size_t lane, std::uint64_t bytes) {
    Lane& own = lanes_[lane % lanes_.size()];
    own.hits.fetch_add(1, std::memory_order_relaxed);
    own.bytes.fetch_add(bytes, std::memory_order_relaxed);
  }

  /** Any thread may ask. */
  [[nodiscard]] Sum sum() const {
    Sum total;
    for (const Lane& lane : lanes_) {
      total.hits += lane.hits.load(std::memory_order_relaxed);
      total.bytes += lane.bytes.load(std::memory_order_relaxed);
    }
    return total;
  }

 private:
  struct alignas(64) Lane {
    std::atomic<std::uint64_t> hits{0};
    std::atomic<std::uint64_t> bytes{0};
  };

  // Four session threads and the store threads; more would share.
  std::array<Lane, 8> lanes_;
};

}  // namespace parentfs::image
