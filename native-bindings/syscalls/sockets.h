/**
 * Handing a descriptor from one process to another over a Unix socket.
 */
#pragma once

#include <utility>

#include "owned-fd.h"
#include "result.h"

namespace parentfs::syscalls {

/** Connected stream sockets, close-on-exec. */
Result<std::pair<OwnedFd, OwnedFd>> socket_pair();
/** @returns 0 or an errno. */
int send_fd(int socket, int fd);
/** Wait for a descriptor; it is close-on-exec here. ECONNRESET when the other side has gone, EBADMSG when bytes came
 * alone. */
Result<OwnedFd> receive_fd(int socket);

}  // namespace parentfs::syscalls
