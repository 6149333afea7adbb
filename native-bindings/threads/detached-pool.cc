/** The threads, their queue, and how they end. */
#include "threads/detached-pool.h"

#include <deque>
#include <thread>
#include <utility>

#include "mutex.h"

namespace parentfs::threads {

struct DetachedPool::State {
  explicit State(std::size_t max) : waiting_max(max) {}

  const std::size_t waiting_max;
  Mutex mutex;
  Condition changed;
  std::deque<Work> queue GUARDED_BY(mutex);
  std::size_t running GUARDED_BY(mutex) = 0;
  bool ending GUARDED_BY(mutex) = false;

  /** The next piece of work; none when it is all over. */
  Work next() EXCLUDES(mutex) {
    const Lock lock(mutex);
    while (queue.empty()) {
      if (ending) return {};
      changed.wait(mutex);
    }
    Work work = std::move(queue.front());
    queue.pop_front();
    running++;
    return work;
  }

  void done() EXCLUDES(mutex) {
    const Lock lock(mutex);
    running--;
  }
};

DetachedPool::DetachedPool(unsigned threads, std::size_t waiting_max) : state_(std::make_shared<State>(waiting_max)) {
  for (unsigned k = 0; k < threads; k++) {
    std::thread([state = state_] {
      while (true) {
        Work work = state->next();
        if (!work) return;
        work();
        work = {};  // It may hold the last reference to what has to end, or to these threads.
        state->done();
      }
    }).detach();
  }
}

DetachedPool::~DetachedPool() {
  {
    const Lock lock(state_->mutex);
    state_->ending = true;
  }
  state_->changed.notify_all();
}

bool DetachedPool::submit(Work work) {
  {
    const Lock lock(state_->mutex);
    if (state_->queue.size() >= state_->waiting_max) return false;
    state_->queue.push_back(std::move(work));
  }
  state_->changed.notify_one();
  return true;
}

void DetachedPool::submit_end(Work work) {
  {
    const Lock lock(state_->mutex);
    state_->queue.push_back(std::move(work));
  }
  state_->changed.notify_one();
}

std::size_t DetachedPool::running() const {
  const Lock lock(state_->mutex);
  return state_->running;
}

}  // namespace parentfs::threads
