/**
 * Passes descriptors between processes over a Unix socket, and sends datagrams to names.
 */
#pragma once

#include <sys/types.h>

#include <string>
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

/**
 * Send one datagram to a Unix socket by its name: a path, or `@` and the name of an abstract one. Waits up to a second for a
 * receiver that is full. @param fd_beside a descriptor that goes with it, or -1. @returns 0 or an errno: ENAMETOOLONG, EAFNOSUPPORT
 * for another kind of name, EAGAIN when it stayed full.
 */
int send_datagram(const std::string& name, std::string text, int fd_beside);

}  // namespace parentfs::syscalls
