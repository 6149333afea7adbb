/**
 * In-flight reads: the time since which the disk has owed an answer to each read that is in the kernel now.
 *
 * A read that waits for a store thread is not among them. So a hanging disk can be told from a busy one.
 */
#pragma once

#include <chrono>
#include <list>

#include "mutex.h"

namespace parentfs::disk {

class InflightReads {
 public:
  using Clock = std::chrono::steady_clock;

  /** A read, from the making of this object to its end. */
  class Mark {
   public:
    /** @param reads null: of no interest */
    explicit Mark(InflightReads* reads) : reads_(reads) {
      if (reads_ == nullptr) return;
      const Lock lock(reads_->mutex_);
      place_ = reads_->begun_.insert(reads_->begun_.end(), Clock::now());
    }
    ~Mark() {
      if (reads_ == nullptr) return;
      const Lock lock(reads_->mutex_);
      reads_->begun_.erase(place_);
    }
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

   private:
    InflightReads* reads_;
    std::list<Clock::time_point>::iterator place_;
  };

  /** The time that the oldest has taken until now; 0 when there is none. */
  [[nodiscard]] std::chrono::milliseconds longest() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    if (begun_.empty()) return std::chrono::milliseconds(0);
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun_.front());
  }

 private:
  Mutex mutex_;
  /** In the order in which they began. */
  std::list<Clock::time_point> begun_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::disk
