/** Splices and copies. */
#include "serving/pieces.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

namespace parentfs::serving {

namespace {

PieceResult::Then after(image::ReadOutcome outcome) {
  return outcome == image::ReadOutcome::would_wait ? PieceResult::Then::wait_for_disk : PieceResult::Then::missing;
}

}  // namespace

PieceSender::PieceSender() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return;
  out_ = OwnedFd(ends[0]);
  in_ = OwnedFd(ends[1]);
  sink_ = OwnedFd(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  // More pages than whole ones: the range may begin within one.
  const int bytes = ::fcntl(in_.get(), F_SETPIPE_SZ, static_cast<int>(spliced_bytes * 2));
  pipe_bytes_ = bytes < 0 || sink_.get() < 0 ? 0 : static_cast<std::size_t>(bytes);
}

PieceResult PieceSender::splice(int socket, const image::DataFile& file, std::uint64_t offset, std::uint64_t length,
                                bool is_last) {
  const std::size_t bytes = std::min<std::uint64_t>(length, spliced_bytes);
  const image::ReadOutcome outcome = file.splice(offset, bytes, in_.get());
  if (outcome != image::ReadOutcome::hit) {
    empty_pipe(bytes);
    return {.then = after(outcome)};
  }
  const bool has_more = bytes < length || !is_last;
  std::size_t sent = 0;
  while (sent < bytes) {
    const unsigned flags = SPLICE_F_NONBLOCK | (has_more ? SPLICE_F_MORE : 0U);
    const ssize_t moved = ::splice(out_.get(), nullptr, socket, nullptr, bytes - sent, flags);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) {
      const bool waits = moved < 0 && errno == EAGAIN;
      empty_pipe(bytes - sent);
      return {.bytes = sent, .then = waits ? PieceResult::Then::wait_to_send : PieceResult::Then::end};
    }
    sent += static_cast<std::size_t>(moved);
  }
  return {.bytes = sent};
}

PieceResult PieceSender::copy(http::Transport& stream, const image::DataFile& file, std::uint64_t offset,
                              std::uint64_t length, const BroughtPiece* brought) {
  std::span<const std::byte> piece;
  if (brought != nullptr && brought->is_there && offset >= brought->offset &&
      offset < brought->offset + brought->bytes.size()) {
    const std::span<const std::byte> rest = std::span(brought->bytes).subspan(offset - brought->offset);
    piece = rest.first(std::min<std::uint64_t>(rest.size(), length));
  } else {
    const auto target = std::span(buffer_).first(std::min<std::uint64_t>(length, copied_bytes));
    const image::ReadOutcome outcome = file.read_for_other(offset, target, image::Blocking::no);
    if (outcome != image::ReadOutcome::hit) return {.then = after(outcome)};
    piece = target;
  }
  // TLS takes one record at a time: the rest of the piece is here, and is not read again.
  std::size_t taken = 0;
  while (taken < piece.size()) {
    const std::span<const std::byte> rest = piece.subspan(taken);
    const http::IoResult sent = stream.send({reinterpret_cast<const char*>(rest.data()), rest.size()});
    taken += sent.bytes;
    if (sent.then == http::IoResult::Then::end) return {.bytes = taken, .then = PieceResult::Then::end};
    if (sent.then != http::IoResult::Then::again) return {.bytes = taken, .then = PieceResult::Then::wait_to_send};
  }
  return {.bytes = taken};
}

void PieceSender::empty_pipe(std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t moved = ::splice(out_.get(), nullptr, sink_.get(), nullptr, bytes, SPLICE_F_NONBLOCK);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return;
    bytes -= static_cast<std::size_t>(moved);
  }
}

}  // namespace parentfs::serving
