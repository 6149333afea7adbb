/**
 * Handing a descriptor from one process to another over a Unix socket.
 */
#pragma once

#include <sys/types.h>

#include <utility>

#include "owned-fd.h"
#include "result.h"

namespace parentfs::syscalls {

/** Connected stream sockets, close-on-exec. */
Result<std::pair<OwnedFd, OwnedFd>> socket_pair();
/** The user at the other end of a connected Unix socket, at the time of its connect. Source: unix(7), SO_PEERCRED. */
Result<uid_t> peer_uid(int socket);
/** @returns 0 or an errno. */
int send_fd(int socket, int fd);
/** Wait for a descriptor; it is close-on-exec here. ECONNRESET when the other side has gone, EBADMSG when bytes came
 * alone. */
Result<OwnedFd> receive_fd(int socket);

}  // namespace parentfs::syscalls
