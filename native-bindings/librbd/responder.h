/**
 * Responder: the worker's thread on the connections of librbd. It answers each frame as soon as it is there, in order,
 * and at most once (answer-journal.h).
 *
 * The supervisor holds every connection too, and hands them over through a channel: the journal first, then one message
 * for each. A client that does not take its answers is not read from, so nothing is queued here. A client whose stream
 * cannot be framed is closed; nothing else that it sends has an effect on others.
 */
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "librbd/answer-journal.h"
#include "librbd/parent-table.h"
#include "owned-fd.h"

namespace parentfs::librbd {

class Responder {
 public:
  /** Bytes of a client's stream that are looked at together. */
  static constexpr std::size_t look_bytes = std::size_t{64} * 1024;

  struct Counters {
    std::uint64_t connections;
    /** Closed because their stream could not be framed. */
    std::uint64_t broken;
    std::uint64_t registered;
  };

  /**
   * @param channel the supervisor's, see keeper.h
   * @param directory of the object view
   * @throws std::system_error when there can be no thread
   */
  Responder(OwnedFd channel, std::string directory, std::shared_ptr<ParentTable> parents);
  /** Ends the thread; connections stay open with the supervisor. */
  ~Responder();
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;

  /** From now on every READ is answered READ_RADOS. */
  void retreat() { retreating_.store(true, std::memory_order_relaxed); }
  /** From now on nothing is answered. */
  void fall_silent();
  /** Shut all connections, and those that come. For one that has fallen silent for long enough. */
  void hang_up();
  [[nodiscard]] Counters counters() const;

 private:
  struct Connection {
    OwnedFd fd;
    std::uint64_t number;
    std::uint32_t slot;
    /** Frames of an earlier worker may be at the front of the stream. */
    bool is_taken_over;
    /** Its client has not taken the answers that are there. */
    bool waits_for_room = false;
  };
  using Connections = std::unordered_map<int, Connection>;

  void run();
  void take_connections();
  /** A change is told once from now on, one that is there already too. */
  void watch(const Connection& connection, std::uint32_t events) const;
  /** @returns false when it is over */
  bool serve(Connection& connection);
  /** Take frames out of the stream that an earlier worker has answered. @returns false when it is over */
  bool settle(Connection& connection, std::span<const std::byte> stream, bool& settled);
  enum class Step { go_on, wait, over };
  /** Answer whole frames. */
  Step answer(Connection& connection, std::span<const std::byte> stream);
  /** Send a batch, and take its frames out of the stream. */
  Step send(Connection& connection, std::uint32_t count);
  /** Encode the answer of a frame. @returns its bytes; 0: it gets none */
  std::size_t write(const Frame& frame, AnswerJournal::Slot& slot, std::span<std::byte> target);
  /** @returns false when it is over */
  [[nodiscard]] bool take(const Connection& connection, std::size_t bytes);
  void wake() const;

  OwnedFd channel_;
  const std::string directory_;
  const std::shared_ptr<ParentTable> parents_;
  OwnedFd poll_;
  OwnedFd wake_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> retreating_{false};
  std::atomic<bool> silent_{false};
  std::atomic<bool> hanging_up_{false};
  std::atomic<std::uint64_t> connected_{0};
  std::atomic<std::uint64_t> broken_{0};
  std::atomic<std::uint64_t> registered_{0};
  // Of the thread alone.
  std::shared_ptr<AnswerJournal> journal_;
  Connections connections_;
  std::vector<std::byte> stream_ = std::vector<std::byte>(look_bytes);
  std::vector<std::byte> taken_ = std::vector<std::byte>(look_bytes);
  std::vector<std::byte> answers_ = std::vector<std::byte>(AnswerJournal::batch_max * answer_bytes_max);
  std::array<iovec, AnswerJournal::batch_max> parts_{};
  std::thread thread_;
};

}  // namespace parentfs::librbd
