/** Thread of the front: the connections that are its own, what it is told to do, and deadlines. */
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "mutex.h"
#include "owned-fd.h"
#include "serving/connection.h"
#include "serving/front.h"
#include "serving/pieces.h"

namespace parentfs::serving {

class Loop : public std::enable_shared_from_this<Loop> {
 public:
  using Task = std::function<void(Loop& loop)>;

  /** @throws std::system_error when there can be no descriptors */
  Loop(const FrontLimits& limits, std::function<void(FrontEvent)> tell, Front::Submit submit,
       std::shared_ptr<Permits> permits);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /** @throws std::system_error when there can be no thread */
  void start();
  /** End all connections and the thread. Idempotent. */
  void stop() EXCLUDES(mutex_);
  /** Do it on the thread. After `stop` it is dropped. */
  void post(Task task) EXCLUDES(mutex_);

  // On the thread:
  void adopt(std::uint32_t number, OwnedFd socket, std::unique_ptr<http::TlsStream> tls);
  /** Change a connection and let it go on. */
  void with(std::uint32_t number, const std::function<void(Connection&)>& change);
  void drop(std::uint32_t number);
  /** The same once the answer that it gives by permit is over. */
  void let_go(std::uint32_t number);
  void drop_idle();

  [[nodiscard]] std::uint64_t sent_bytes() const { return sent_bytes_.load(std::memory_order_relaxed); }

 private:
  void run();
  bool watch(int fd, std::uint32_t number, bool is_link);
  void bring(std::uint32_t number, std::shared_ptr<image::DataFile> file, std::uint64_t offset, std::size_t bytes);
  void do_tasks() EXCLUDES(mutex_);
  void give_turns();
  void drop_late();
  void wake() const;

  const FrontLimits limits_;
  const Front::Submit submit_;
  const std::shared_ptr<Permits> permits_;
  OwnedFd poll_;
  OwnedFd wake_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> sent_bytes_{0};
  Mutex mutex_;
  std::vector<Task> tasks_ GUARDED_BY(mutex_);
  bool has_stopped_ GUARDED_BY(mutex_) = false;
  // Of the thread alone.
  PieceSender pieces_;
  ConnectionHost host_;
  std::unordered_map<std::uint32_t, Connection> connections_;
  /** Connections that had their turn and have more to do. */
  std::vector<std::uint32_t> waiting_;
  Connection::Clock::time_point looked_ = Connection::Clock::now();
  std::thread thread_;
};

}  // namespace parentfs::serving
