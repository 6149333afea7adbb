/** The store threads: reads first, and never all of them writing. */
#include "disk/store-threads.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "disk/aligned-buffer.h"
#include "syscalls/process.h"

namespace parentfs::disk {

StoreThreads::StoreThreads(unsigned count) : writing_max_(std::max(1U, count * 3 / 4)), reading_max_(count > 2 ? count - 2 : 1) {
  const Lock lock(joining_);
  for (unsigned k = 0; k < count; k++) threads_.emplace_back([this] { work(); });
}

bool StoreThreads::submit(Lane lane, Job job) {
  {
    const Lock lock(mutex_);
    if (closing_) return false;
    (lane == Lane::read ? reads_ : writes_).push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

void StoreThreads::close() {
  {
    const Lock lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  const Lock lock(joining_);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void StoreThreads::work() {
  ::pthread_setname_np(::pthread_self(), "pfs-store");  // As top -H and ps -T show it.
  syscalls::block_signals();
  const AlignedBuffer scratch(scratch_bytes);
  mutex_.lock();
  while (true) {
    Lane lane = Lane::read;
    Job job;
    if (next(lane, job)) {
      mutex_.unlock();
      job(scratch.bytes());
      job = nullptr;  // Its captures are released outside of the lock.
      mutex_.lock();
      if (lane == Lane::read) reading_--;
      if (lane == Lane::write && writing_-- == writing_max_ && !writes_.empty()) changed_.notify_one();
    } else if (closing_) {
      break;  // What is left are writes, and threads that write take them.
    } else {
      changed_.wait(mutex_);
    }
  }
  mutex_.unlock();
}

bool StoreThreads::next(Lane& lane, Job& job) {
  const bool may_write = !writes_.empty() && writing_ < writing_max_;
  if (!reads_.empty() && (!may_write || reading_ < reading_max_)) {
    lane = Lane::read;
    job = std::move(reads_.front());
    reads_.pop_front();
    reading_++;
    return true;
  }
  if (!may_write) return false;
  lane = Lane::write;
  job = std::move(writes_.front());
  writes_.pop_front();
  writing_++;
  return true;
}

}  // namespace parentfs::disk
