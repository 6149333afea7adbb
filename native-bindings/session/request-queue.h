/**
 * Request queue: requests on their way to TypeScript, and one flag that says whether TypeScript has been called.
 *
 * A batch is a row of records: a prefix, the request as the kernel sent it, and nothing up to a multiple of 8 bytes. This
 * file alone writes their format, and src/fuse/kernel/request-batch.ts alone reads it. Both are of one process, so the
 * format may change with any version.
 *
 * It needs no bound of its own: the kernel stops handing out requests that are not answered (max_background, and one
 * request for each thread that waits), and a request is in it once.
 */
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "mutex.h"

namespace parentfs::session {

class RequestQueue {
 public:
  /** The begin of a record. Numbers as the machine has them. */
  struct Prefix {
    /** Bytes of the request. */
    std::uint32_t length;
    /** The time for which it has waited for an origin, in vain; its reader has so much less of it. */
    std::uint32_t waited_ms;
  };
  static_assert(sizeof(Prefix) == 8);

  /** Every record starts at a multiple of this many bytes. */
  static constexpr std::size_t alignment = 8;

  /**
   * Add a request.
   * @param waited for an origin, in vain
   * @returns whether the consumer has to be called: true once until `take`.
   */
  [[nodiscard]] bool push(std::span<const std::byte> request, std::chrono::nanoseconds waited) EXCLUDES(mutex_) {
    const auto waited_ms = std::chrono::duration_cast<std::chrono::milliseconds>(waited).count();
    const Prefix prefix{.length = static_cast<std::uint32_t>(request.size()),
                        .waited_ms = static_cast<std::uint32_t>(waited_ms)};
    const Lock lock(mutex_);
    const std::size_t at = bytes_.size();
    const std::size_t body = at + sizeof prefix;
    bytes_.resize((body + request.size() + alignment - 1) / alignment * alignment);
    std::memcpy(&bytes_[at], &prefix, sizeof prefix);
    std::ranges::copy(request, bytes_.begin() + static_cast<std::ptrdiff_t>(body));
    return !std::exchange(armed_, true);
  }

  /** All records since the last call, in order. */
  [[nodiscard]] std::vector<std::byte> take() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    armed_ = false;
    return std::exchange(bytes_, {});
  }

 private:
  Mutex mutex_;
  std::vector<std::byte> bytes_ GUARDED_BY(mutex_);
  bool armed_ GUARDED_BY(mutex_) = false;
};

}  // namespace parentfs::session
