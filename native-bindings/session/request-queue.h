/**
 * Request queue: requests on their way to TypeScript, in wire format, and one flag that says whether TypeScript has
 * been called.
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
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "mutex.h"
#include "wire/fuse.h"

namespace parentfs::session {

class RequestQueue {
 public:
  /** Every request starts at a multiple of this many bytes. */
  static constexpr std::size_t alignment = 8;

  /**
   * Add a request; the length in its first four bytes is made the length that was received.
   * @param waited for an origin, in vain; its reader has so much less time
   * @returns whether the consumer has to be called: true once until `take`.
   */
  [[nodiscard]] bool push(std::span<const std::byte> request, std::chrono::nanoseconds waited) EXCLUDES(mutex_) {
    constexpr auto most = std::numeric_limits<std::uint16_t>::max();
    const auto waited_ms = std::min<std::int64_t>(most, std::chrono::duration_cast<std::chrono::milliseconds>(waited).count());
    const auto waited_field = static_cast<std::uint16_t>(waited_ms);
    const Lock lock(mutex_);
    const auto length = static_cast<std::uint32_t>(request.size());
    const std::size_t at = bytes_.size();
    bytes_.resize(at + (request.size() + alignment - 1) / alignment * alignment);
    std::memcpy(&bytes_[at], request.data(), request.size());
    std::memcpy(&bytes_[at], &length, sizeof length);
    if (length >= sizeof(wire::InHeader)) {
      std::memcpy(&bytes_[at + offsetof(wire::InHeader, waited_ms)], &waited_field, sizeof waited_field);
    }
    return !std::exchange(armed_, true);
  }

  /** All requests since the last call, in order. */
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
