/**
 * Request queue: requests on their way to TypeScript, in wire format, and one flag that says whether TypeScript has
 * been called.
 *
 * It needs no bound of its own: the kernel stops handing out requests that are not answered (max_background, and one
 * request for each thread that waits), and a request is in it once.
 */
#pragma once

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
  /** Every request starts at a multiple of this many bytes. */
  static constexpr std::size_t alignment = 8;

  /**
   * Add a request; the length in its first four bytes is made the length that was received.
   * @returns whether the consumer has to be called: true once until `take`.
   */
  [[nodiscard]] bool push(std::span<const std::byte> request) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    const auto length = static_cast<std::uint32_t>(request.size());
    const std::size_t at = bytes_.size();
    bytes_.resize(at + (request.size() + alignment - 1) / alignment * alignment);
    std::memcpy(&bytes_[at], request.data(), request.size());
    std::memcpy(&bytes_[at], &length, sizeof length);
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
