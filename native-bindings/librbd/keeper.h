/**
 * Keeper: the supervisor's thread that accepts librbd's connections and holds them, so that they outlive the worker
 * that answers. It reads nothing from them.
 *
 * Every worker that begins to serve gets the journal and all connections; those that come later follow. A connection
 * ends when its client hangs up, or when the worker has shut it.
 */
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "librbd/answer-journal.h"
#include "mutex.h"
#include "owned-fd.h"
#include "result.h"

namespace parentfs::librbd {

/**
 * A socket that listens at `path`, where nothing must be, with these permission bits.
 * @param group its group; -1: the process's own
 */
Result<OwnedFd> listen_at(const std::string& path, unsigned mode, int group);

class Keeper {
 public:
  /**
   * @param listener listens
   * @throws std::system_error when there can be no thread or no journal
   */
  explicit Keeper(OwnedFd listener);
  /** Ends the thread and closes everything. */
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  /** From now on connections go to another worker. @returns the worker's end of the channel */
  Result<OwnedFd> attach() EXCLUDES(mutex_);
  /** Accept no more. */
  void stop_listening();
  [[nodiscard]] std::uint32_t connections() const { return connected_.load(std::memory_order_relaxed); }
  /** Closed at once, as there were too many. */
  [[nodiscard]] std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  struct Connection {
    OwnedFd fd;
    std::uint64_t number;
    std::uint32_t slot;
  };

  void run();
  void look_for_commands() EXCLUDES(mutex_);
  void accept_all();
  void keep(OwnedFd fd);
  void forget(int fd);
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
  bool journal_waits_ = false;
  bool is_paused_ = false;
  std::thread thread_;
};

}  // namespace parentfs::librbd
