/** Bytes as they are. */
#include "receive/stream.h"

#include <sys/socket.h>

#include <cerrno>

namespace parentfs::receive {

namespace {

Moved failed(Moved::Then wait) {
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {.then = wait};
  return {.then = Moved::Then::end, .error = errno};
}

}  // namespace

Moved PlainStream::receive(std::span<std::byte> place) {
  const ssize_t got = ::recv(socket_, place.data(), place.size(), MSG_DONTWAIT);
  if (got < 0) return failed(Moved::Then::wait_to_receive);
  if (got == 0) return {.then = Moved::Then::end};
  const auto bytes = static_cast<std::size_t>(got);
  return {.bytes = bytes, .then = bytes < place.size() ? Moved::Then::wait_to_receive : Moved::Then::go_on};
}

Moved PlainStream::send(std::string_view bytes) {
  const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) return failed(Moved::Then::wait_to_send);
  return {.bytes = static_cast<std::size_t>(sent)};
}

}  // namespace parentfs::receive
