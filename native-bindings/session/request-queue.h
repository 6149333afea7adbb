/**
 * Requests on their way to TypeScript, in wire format, and one flag that says whether TypeScript has been called.
 *
 * It needs no bound of its own: the kernel stops handing out requests when nobody answers (max_background, and one
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
    add(request);
    return !std::exchange(armed_, true);
  }

  /** What may be left for the consumer without its being called. */
  static constexpr std::size_t left_bytes_max = std::size_t{1024} * 1024;

  /**
   * Add something that nobody waits for: the consumer finds it when it is called for something else, or by `wake`.
   * @returns whether it has to be called after all, because so much has been left
   */
  [[nodiscard]] bool leave(std::span<const std::byte> request) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    add(request);
    return bytes_.size() > left_bytes_max && !std::exchange(armed_, true);
  }

  /** @returns whether the consumer has to be called, because something was left */
  [[nodiscard]] bool wake() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    return !bytes_.empty() && !std::exchange(armed_, true);
  }

  /** All requests since the last call, in order. */
  [[nodiscard]] std::vector<std::byte> take() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    armed_ = false;
    return std::exchange(bytes_, {});
  }

 private:
  void add(std::span<const std::byte> request) REQUIRES(mutex_) {
    const auto length = static_cast<std::uint32_t>(request.size());
    const std::size_t at = bytes_.size();
    bytes_.resize(at + (request.size() + alignment - 1) / alignment * alignment);
    std::memcpy(&bytes_[at], request.data(), request.size());
    std::memcpy(&bytes_[at], &length, sizeof length);
  }

  Mutex mutex_;
  std::vector<std::byte> bytes_ GUARDED_BY(mutex_);
  bool armed_ GUARDED_BY(mutex_) = false;
};

}  // namespace parentfs::session
