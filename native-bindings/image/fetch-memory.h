/**
 * Fetch memory: one region for the bytes of native fetches, from their request until they are in the store. JavaScript
 * sees it as one buffer, so that it neither copies bytes nor keeps them alive by accident. Its size is the bound of what
 * native fetches may have under way.
 */
#pragma once

#include <cstddef>
#include <map>
#include <span>

#include "mutex.h"

namespace parentfs::image {

class FetchMemory {
 public:
  /** A region of `bytes`, a multiple of a page, which the kernel gives when it is first touched. @throws std::bad_alloc */
  explicit FetchMemory(std::size_t bytes);
  ~FetchMemory();
  FetchMemory(const FetchMemory&) = delete;
  FetchMemory& operator=(const FetchMemory&) = delete;

  [[nodiscard]] std::span<std::byte> all() const { return {begin_, bytes_}; }
  /** Take `bytes` in one piece, from the begin of a page on. Empty when there is no room. */
  [[nodiscard]] std::span<std::byte> take(std::size_t bytes) EXCLUDES(mutex_);
  /** Give back what {@link take} gave. */
  void give_back(std::span<std::byte> piece) EXCLUDES(mutex_);

 private:
  std::byte* begin_;
  const std::size_t bytes_;
  Mutex mutex_;
  /** Free pieces: bytes by offset; no two of them touch. The first that fits is taken, so that the same pages are used. */
  std::map<std::size_t, std::size_t> free_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::image
