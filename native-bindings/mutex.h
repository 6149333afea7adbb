/**
 * A mutex that clang-tidy can check: members that say GUARDED_BY(mutex_) may be touched under it only.
 *
 * The attributes exist in clang alone; for g++ they are nothing, and what remains is std::mutex.
 */
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define PARENTFS_ATTRIBUTE(...) __attribute__((__VA_ARGS__))
#else
#define PARENTFS_ATTRIBUTE(...)
#endif

#define CAPABILITY(name) PARENTFS_ATTRIBUTE(capability(name))
#define SCOPED_CAPABILITY PARENTFS_ATTRIBUTE(scoped_lockable)
#define GUARDED_BY(mutex) PARENTFS_ATTRIBUTE(guarded_by(mutex))
#define REQUIRES(...) PARENTFS_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) PARENTFS_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) PARENTFS_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define RELEASE(...) PARENTFS_ATTRIBUTE(release_capability(__VA_ARGS__))
#define UNCHECKED PARENTFS_ATTRIBUTE(no_thread_safety_analysis)

namespace parentfs {

class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  friend class Condition;
  std::mutex mutex_;
};

/** Holds a mutex for a scope. */
class SCOPED_CAPABILITY Lock {
 public:
  explicit Lock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~Lock() RELEASE() { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Mutex& mutex_;
};

/** A condition variable for `Mutex`. Wakes for no reason too: call it in a loop that looks at what it waits for. */
class Condition {
 public:
  void wait(Mutex& mutex) REQUIRES(mutex) {
    std::unique_lock<std::mutex> held(mutex.mutex_, std::adopt_lock);
    condition_.wait(held);
    held.release();
  }

  void wait_for(Mutex& mutex, std::chrono::milliseconds pause) REQUIRES(mutex) {
    std::unique_lock<std::mutex> held(mutex.mutex_, std::adopt_lock);
    condition_.wait_for(held, pause);
    held.release();
  }

  void notify_one() { condition_.notify_one(); }
  void notify_all() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace parentfs
