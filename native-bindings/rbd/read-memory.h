/**
 * Memory of the reads under way, which the next ones take over: a virtual machine gets new pages from its host one by
 * one, and that costs more than the bytes that come into them. No more is kept than is under way beside it.
 */
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <utility>

#include "mutex.h"

namespace parentfs::rbd {

class ReadMemory {
 public:
  using Bytes = std::unique_ptr<std::byte[]>;

  /** @returns `size` bytes of anything */
  Bytes take(std::size_t size) EXCLUDES(mutex_) {
    {
      const Lock lock(mutex_);
      lent_bytes_ += size;
      const auto found = std::ranges::find(kept_, size, &Kept::second);
      if (found != kept_.end()) {
        Bytes bytes = std::move(found->first);
        kept_.erase(found);
        kept_bytes_ -= size;
        return bytes;
      }
    }
    return std::make_unique_for_overwrite<std::byte[]>(size);
  }

  void give_back(Bytes bytes, std::size_t size) EXCLUDES(mutex_) {
    std::deque<Kept> gone;  // They go after the lock.
    const Lock lock(mutex_);
    lent_bytes_ -= size;
    kept_bytes_ += size;
    kept_.emplace_back(std::move(bytes), size);
    for (; kept_bytes_ > lent_bytes_; kept_.pop_front()) {
      kept_bytes_ -= kept_.front().second;
      gone.push_back(std::move(kept_.front()));
    }
  }

  [[nodiscard]] std::size_t kept_bytes() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    return kept_bytes_;
  }

 private:
  using Kept = std::pair<Bytes, std::size_t>;

  Mutex mutex_;
  std::deque<Kept> kept_ GUARDED_BY(mutex_);
  std::size_t kept_bytes_ GUARDED_BY(mutex_) = 0;
  std::size_t lent_bytes_ GUARDED_BY(mutex_) = 0;
};

}  // namespace parentfs::rbd
