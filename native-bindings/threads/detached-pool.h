/**
 * Detached pool: threads for calls that may hang, a bounded number in front of a bounded queue. A waiter for such a
 * call can leave; the thread is lost until the library comes back from it.
 *
 * They are never joined. Each holds what it needs, ends when the DetachedPool object has gone and the queue is empty,
 * and the process may exit while one still hangs.
 */
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace parentfs::threads {

class DetachedPool {
 public:
  using Work = std::function<void()>;

  DetachedPool(unsigned threads, std::size_t waiting_max);
  /** Waits for nothing. What is queued is still done. */
  ~DetachedPool();
  DetachedPool(const DetachedPool&) = delete;
  DetachedPool& operator=(const DetachedPool&) = delete;

  /** @returns false when as much waits as may */
  bool submit(Work work);
  /** The end of an opened object: always taken, because it is bounded by the number of opened ones. */
  void submit_end(Work work);
  /** Calls that run now. */
  [[nodiscard]] std::size_t running() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace parentfs::threads
