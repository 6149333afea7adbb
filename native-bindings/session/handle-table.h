/**
 * Handle table: the data file that answers READs of each file handle, as one session thread knows it.
 *
 * Every thread has its own, with a mutex of its own that it holds while it reads a hit without waiting. So `unbind`
 * returns when no hit of that handle is under way, and the threads share no cache line that any of them writes.
 */
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>

#include "mutex.h"
#include "image/data-file.h"

namespace parentfs::session {

class HandleTable {
 public:
  void bind(std::uint64_t fh, std::shared_ptr<image::DataFile> file) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    files_.insert_or_assign(fh, std::move(file));
  }

  void unbind(std::uint64_t fh) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    files_.erase(fh);
  }

  void clear() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    files_.clear();
  }

  /** Call `use(const std::shared_ptr<DataFile>&)` under the mutex; `otherwise` is the result when `fh` is not bound. */
  template <class Use, class Outcome>
  Outcome with(std::uint64_t fh, Outcome otherwise, Use&& use) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    const auto found = files_.find(fh);
    return found == files_.end() ? otherwise : use(found->second);
  }

 private:
  Mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<image::DataFile>> files_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::session
