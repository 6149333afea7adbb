/** One message, one descriptor. */
#include "librbd/channel.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace parentfs::librbd {

namespace {

/** Ancillary room for one descriptor. */
struct Envelope {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  iovec bytes{};
  msghdr header{};

  Envelope(void* message, std::size_t length) : bytes{.iov_base = message, .iov_len = length} {
    header.msg_iov = &bytes;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }
};

}  // namespace

Result<std::pair<OwnedFd, OwnedFd>> make_channel() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0) return Failure{errno};
  return std::pair(OwnedFd(fds[0]), OwnedFd(fds[1]));
}

int hand_over(int channel, const Handover& message, int fd) {
  Handover copy = message;
  Envelope envelope(&copy, sizeof copy);
  cmsghdr* rights = CMSG_FIRSTHDR(&envelope.header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  return ::sendmsg(channel, &envelope.header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}

Result<std::pair<Handover, OwnedFd>> take_handover(int channel) {
  Handover message{};
  Envelope envelope(&message, sizeof message);
  const ssize_t got = ::recvmsg(channel, &envelope.header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) return Failure{errno};
  if (got == 0) return Failure{ECONNRESET};
  const cmsghdr* rights = CMSG_FIRSTHDR(&envelope.header);
  if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS || rights->cmsg_len != CMSG_LEN(sizeof(int))) {
    return Failure{EBADMSG};
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  OwnedFd owned(fd);
  if (got != sizeof message) return Failure{EBADMSG};
  return std::pair(message, std::move(owned));
}

}  // namespace parentfs::librbd
