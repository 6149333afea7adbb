/**
 * In-flight fetch: whole blocks of one object on their way from the origin, or here and not yet in the store; and the
 * reads that wait for it.
 */
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "image/fetch-memory.h"

namespace parentfs::image {

class FetchWaiter;

struct InflightFetch {
  enum class State : std::uint8_t { coming, here, over };

  InflightFetch(std::shared_ptr<FetchMemory> from, std::span<std::byte> piece, std::uint64_t number,
                std::uint64_t of_object, std::uint64_t mask, std::uint64_t begin)
      : id(number), object(of_object), blocks(mask), offset(begin), bytes(piece), memory(std::move(from)) {}
  ~InflightFetch() { memory->give_back(bytes); }
  InflightFetch(const InflightFetch&) = delete;
  InflightFetch& operator=(const InflightFetch&) = delete;

  /** Never used again in this process, and larger than that of every earlier fetch. */
  const std::uint64_t id;
  const std::uint64_t object;
  /** A run of its blocks, bit by bit, and the bytes of the image that these are. */
  const std::uint64_t blocks;
  const std::uint64_t offset;
  const std::span<std::byte> bytes;
  const std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
  const std::shared_ptr<FetchMemory> memory;

  // Under the mutex of its table from here on.
  State state = State::coming;
  /** TypeScript waits for its end, and goes on by itself when it fails: its claim is then TypeScript's. */
  bool is_joined = false;
  std::vector<std::shared_ptr<FetchWaiter>> waiters;
};

/** A read that waits for one fetch or several. */
class FetchWaiter {
 public:
  /** Called once, from any thread, without a lock: are the bytes of all fetches here? */
  using Done = std::function<void(std::span<const std::shared_ptr<InflightFetch>> fetches, bool right)>;

  explicit FetchWaiter(Done done) : done_(std::move(done)) {}

  /** Before the waiter is shared with the fetch. */
  void expect(const std::shared_ptr<InflightFetch>& fetch) {
    fetches_.push_back(fetch);
    left_.fetch_add(1, std::memory_order_relaxed);
  }

  /** One of those is over, or all have been named. */
  void count_down(bool right) {
    if (!right) failed_.store(true, std::memory_order_relaxed);
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) done_(fetches_, !failed_.load(std::memory_order_relaxed));
  }

 private:
  const Done done_;
  std::vector<std::shared_ptr<InflightFetch>> fetches_;
  /** One more than the fetches, until all have been named. */
  std::atomic<std::size_t> left_{1};
  std::atomic<bool> failed_{false};
};

}  // namespace parentfs::image
