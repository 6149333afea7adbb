/**
 * Channel between the supervisor, which accepts connections, and the worker that answers: a pair of sockets that keep
 * messages apart. Each message has a descriptor beside it: first the journal (connection 0), then connections.
 */
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <utility>

#include "owned-fd.h"
#include "result.h"

namespace parentfs::librbd {

struct Handover {
  /** 0: the descriptor is the journal's. */
  std::uint64_t connection;
  /** Its slot in the journal. */
  std::uint32_t slot;
  std::uint32_t padding;
};

Result<std::pair<OwnedFd, OwnedFd>> make_channel();
/** Never waits. @returns 0 or an errno */
int hand_over(int channel, const Handover& message, int fd);
/** Never waits. EAGAIN when there is none, ECONNRESET when the other side has gone, EBADMSG for what is none. */
Result<std::pair<Handover, OwnedFd>> take_handover(int channel);

}  // namespace parentfs::librbd
