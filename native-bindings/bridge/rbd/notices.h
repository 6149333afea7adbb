/**
 * Notices of a watched object on their way to JavaScript: one promise at a time is settled by the next notice. Those that
 * come in between are one.
 */
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>

#include "bridge/rbd/answers.h"
#include "mutex.h"
#include "rbd/omap.h"

namespace parentfs::bridge {

class Notices {
 public:
  /** From any thread. @param error not 0: the watch has ended */
  void came(int error) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    has_come_ = true;
    if (error != 0) error_ = error;
    settle();
  }

  /** The promise with this number is settled by the next notice; one that waits is settled now. */
  void expect(std::shared_ptr<Answers> answers, std::uint64_t number) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    if (answers_) answers_->give(number_, {});
    answers_ = std::move(answers);
    number_ = number;
    if (has_come_) settle();
  }

 private:
  void settle() REQUIRES(mutex_) {
    if (!answers_) return;
    answers_->give(number_, {.problem = {.error = error_, .call = "rados_watch2"}, .result = {}});
    answers_.reset();
    has_come_ = false;
  }

  Mutex mutex_;
  std::shared_ptr<Answers> answers_ GUARDED_BY(mutex_);
  std::uint64_t number_ GUARDED_BY(mutex_) = 0;
  bool has_come_ GUARDED_BY(mutex_) = false;
  int error_ GUARDED_BY(mutex_) = 0;
};

/** A watch and its notices. */
struct WatchedObject {
  std::shared_ptr<rbd::Watch> watch;
  std::shared_ptr<Notices> notices;
};

}  // namespace parentfs::bridge
