/**
 * Connection keeper: the supervisor's thread that accepts librbd's connections and holds them, so that they outlive the
 * worker that answers. It reads nothing from them.
 *
 * Every worker that begins to serve gets the journal and all connections; those that come later follow. A connection
 * ends when its client hangs up, or when the worker has shut it. A service manager may hold all of it too, for the
 * supervisor that follows this one (held-connections.h).
 */
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "librbd/answer-journal.h"
#include "librbd/held-connections.h"
#include "mutex.h"
#include "owned-fd.h"
#include "result.h"

namespace parentfs::librbd {

/**
 * A socket that listens at `path`, where nothing must be, with these permission bits.
 * @param group its group; -1: the process's own
 */
Result<OwnedFd> listen_at(const std::string& path, unsigned mode, int group);

/** The journal and the connections of a keeper that has died. */
struct KeptConnections {
  struct Connection {
    OwnedFd fd;
    std::uint64_t number;
    std::uint32_t slot;
    /** The service manager holds it. */
    bool is_held = true;
  };

  OwnedFd journal;
  std::vector<Connection> connections;
};

class Keeper {
 public:
  /**
   * @param listener listens
   * @param held by the service manager from now on
   * @param kept of an earlier keeper, to go on with
   * @throws std::system_error when there can be no thread or no journal, EINVAL when that of the earlier one is another's
   */
  explicit Keeper(OwnedFd listener, HeldConnections held = {}, std::optional<KeptConnections> kept = {});
  /** Ends the thread and closes everything; the manager holds no connection any more. */
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  /** From now on connections go to another worker. @returns the worker's end of the channel */
  Result<OwnedFd> attach() EXCLUDES(mutex_);
  /** Accept no more. */
  void stop_listening();
  /** It stays the keeper's. */
  [[nodiscard]] int journal() const { return journal_.get(); }
  [[nodiscard]] std::uint32_t connections() const { return connected_.load(std::memory_order_relaxed); }
  /** Closed at once, as there were too many. */
  [[nodiscard]] std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  using Connection = KeptConnections::Connection;

  /** Before the thread begins. */
  void adopt(std::vector<Connection> kept);
  /** @returns false without memory: then it is closed */
  bool watch(Connection connection);
  void run();
  void look_for_commands() EXCLUDES(mutex_);
  void accept_all();
  void keep(OwnedFd fd);
  void forget(int fd, std::uint32_t events);
  /** Before a worker has them: a connection that was answered outlives this supervisor. */
  void hold_waiting();
  void hand_over_waiting();
  void wake() const;

  OwnedFd listener_;
  OwnedFd journal_;
  OwnedFd poll_;
  OwnedFd wake_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> deaf_{false};
  std::atomic<std::uint32_t> connected_{0};
  std::atomic<std::uint64_t> refused_{0};
  Mutex mutex_;
  /** Ours, of a worker that begins to serve. */
  OwnedFd next_channel_ GUARDED_BY(mutex_);
  // Of the thread alone.
  OwnedFd channel_;
  std::unordered_map<int, Connection> connections_;
  std::vector<std::uint32_t> free_slots_;
  std::uint64_t last_number_ = 0;
  /** Descriptors that the worker does not have yet. */
  std::deque<int> waiting_;
  /** Those that the service manager does not hold yet. */
  std::deque<int> unheld_;
  HeldConnections held_;
  bool journal_waits_ = false;
  bool is_paused_ = false;
  std::thread thread_;
};

}  // namespace parentfs::librbd
