/** Bytes as they are. */
#include "http/transport.h"

#include <sys/socket.h>

#include <cerrno>

namespace parentfs::http {

namespace {

IoResult failed(IoResult::Then wait) {
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {.then = wait};
  return {.then = IoResult::Then::end, .error = errno};
}

}  // namespace

IoResult PlainTransport::receive(std::span<std::byte> place) {
  const ssize_t got = ::recv(socket_, place.data(), place.size(), MSG_DONTWAIT);
  if (got < 0) return failed(IoResult::Then::wait_to_receive);
  if (got == 0) return {.then = IoResult::Then::end};
  const auto bytes = static_cast<std::size_t>(got);
  return {.bytes = bytes, .then = bytes < place.size() ? IoResult::Then::wait_to_receive : IoResult::Then::again};
}

IoResult PlainTransport::send(std::string_view bytes, MoreFollows more) {
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more == MoreFollows::yes ? MSG_MORE : 0);
  const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), flags);
  if (sent < 0) return failed(IoResult::Then::wait_to_send);
  return {.bytes = static_cast<std::size_t>(sent)};
}

}  // namespace parentfs::http
