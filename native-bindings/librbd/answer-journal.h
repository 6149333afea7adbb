/**
 * Answer journal: memory that outlives the worker, one slot a connection, from which the next worker knows which of the
 * frames at the front of a stream were answered. A frame is answered exactly once: librbd aborts on a second answer,
 * and hangs without one.
 *
 * Frames stay in the socket until they are answered. The order for each batch: write the entries, publish their count,
 * send, take the frames out of the socket, set the count to 0. The kernel itself writes how much of each message was
 * sent (`mmsghdr.msg_len`), before sendmmsg(2) returns: a process that is killed stops between two system calls, so
 * that field is right whenever it dies. Source: Linux net/socket.c, __sys_sendmmsg.
 */
#pragma once

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "owned-fd.h"
#include "result.h"

namespace parentfs::librbd {

class AnswerJournal {
 public:
  /** Answers that are sent together. */
  static constexpr std::size_t batch_max = 16;
  /** Connections at once: a client has one for each process that runs librbd. */
  static constexpr std::uint32_t connections_max = 4096;

  struct Slot {
    /** The connection that it is about; another number: it is empty. */
    std::uint64_t connection;
    /** 1 once it has registered, 2 once it has said a version too. */
    std::uint32_t registered;
    /** Entries in use. */
    std::uint32_t count;
    std::array<std::uint64_t, batch_max> sequences;
    std::array<std::uint32_t, batch_max> frame_bytes;
    /** Its pointers are those of the process that wrote them; `msg_len` means the same to all. */
    std::array<mmsghdr, batch_max> messages;
  };

  /** A new one, all zeros. */
  static Result<OwnedFd> make();
  /** The one behind a descriptor. EINVAL when it is of another size. */
  static Result<std::shared_ptr<AnswerJournal>> map(int fd);
  ~AnswerJournal();
  AnswerJournal(const AnswerJournal&) = delete;
  AnswerJournal& operator=(const AnswerJournal&) = delete;

  /** @param slot below `connections_max` */
  [[nodiscard]] Slot& slot(std::uint32_t slot) const { return slots_[slot]; }
  /** The slot of this connection, emptied unless an earlier worker has begun it. */
  [[nodiscard]] Slot& begin(std::uint32_t slot, std::uint64_t connection) const;

 private:
  explicit AnswerJournal(Slot* slots) : slots_(slots) {}

  Slot* slots_;
};

}  // namespace parentfs::librbd
