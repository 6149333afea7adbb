/** SCM_RIGHTS: one descriptor beside one byte, because a message without bytes is none. */
#include "syscalls/sockets.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace parentfs::syscalls {

namespace {

/** Ancillary room for exactly one descriptor. */
struct FdMessage {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  char byte = 0;
  iovec bytes{.iov_base = &byte, .iov_len = 1};
  msghdr header{};

  FdMessage() {
    header.msg_iov = &bytes;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }
};

}  // namespace

Result<std::pair<OwnedFd, OwnedFd>> socket_pair() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0) return Failure{errno};
  return std::pair(OwnedFd(fds[0]), OwnedFd(fds[1]));
}

Result<uid_t> peer_uid(int socket) {
  ucred credentials{};
  socklen_t bytes = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0) return Failure{errno};
  // What is no Unix socket, or not connected, has nobody at its other end.
  if (bytes != sizeof credentials || credentials.uid == static_cast<uid_t>(-1)) return Failure{ENOTCONN};
  return credentials.uid;
}

int send_fd(int socket, int fd) {
  FdMessage message;
  cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(control), &fd, sizeof fd);
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message.header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

Result<OwnedFd> receive_fd(int socket) {
  FdMessage message;
  ssize_t received = 0;
  do {
    received = ::recvmsg(socket, &message.header, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return Failure{errno};
  if (received == 0) return Failure{ECONNRESET};
  const cmsghdr* control = CMSG_FIRSTHDR(&message.header);
  if (control == nullptr || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS ||
      control->cmsg_len != CMSG_LEN(sizeof(int))) {
    return Failure{EBADMSG};
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(control), sizeof fd);
  return OwnedFd(fd);
}

}  // namespace parentfs::syscalls
