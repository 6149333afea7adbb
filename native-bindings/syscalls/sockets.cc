/** SCM_RIGHTS: one descriptor beside one byte, because a message without bytes is none. And single datagrams, with or without. */
#include "syscalls/sockets.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
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

  void carry(int fd) {
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
};

/** @returns 0 or an errno. */
int send(int socket, const msghdr& message) {
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

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
  // A file that is no connected Unix socket has no peer.
  if (bytes != sizeof credentials || credentials.uid == static_cast<uid_t>(-1)) return Failure{ENOTCONN};
  return credentials.uid;
}

int send_fd(int socket, int fd) {
  FdMessage message;
  message.carry(fd);
  return send(socket, message.header);
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

int send_datagram(const std::string& name, std::string text, int fd_beside) {
  if (name.size() < 2 || (name[0] != '/' && name[0] != '@')) return EAFNOSUPPORT;
  sockaddr_un address{};
  // One byte less than there is: a path ends with NUL. An abstract name is as long as it says. Source: unix(7).
  if (name.size() >= sizeof address.sun_path) return ENAMETOOLONG;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  const bool is_abstract = name[0] == '@';
  if (is_abstract) address.sun_path[0] = '\0';
  const std::size_t bytes = offsetof(sockaddr_un, sun_path) + name.size() + (is_abstract ? 0 : 1);
  const OwnedFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return errno;
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) return errno;
  FdMessage message;
  message.bytes = {.iov_base = text.data(), .iov_len = text.size()};
  message.header.msg_name = &address;
  message.header.msg_namelen = static_cast<socklen_t>(bytes);
  if (fd_beside < 0) {
    message.header.msg_control = nullptr;
    message.header.msg_controllen = 0;
  } else {
    message.carry(fd_beside);
  }
  return send(fd.get(), message.header);
}

}  // namespace parentfs::syscalls
