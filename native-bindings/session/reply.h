/**
 * Answers to the kernel.
 */
#pragma once

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "wire/fuse.h"

namespace parentfs::session {

/**
 * Write a header with `error` as it goes over the wire, and `bytes` from wherever they are.
 * @returns 0 or an errno; ENOENT is normal: the kernel no longer waits for this answer.
 */
inline int write_reply(int fd, std::uint64_t unique, std::int32_t error, std::span<const std::byte> bytes) {
  wire::OutHeader header{
      .length = static_cast<std::uint32_t>(sizeof header + bytes.size()), .error = error, .unique = unique};
  const std::array<iovec, 2> parts{{{.iov_base = &header, .iov_len = sizeof header},
                                    {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()}}};
  return ::writev(fd, parts.data(), bytes.empty() ? 1 : 2) < 0 ? errno : 0;
}

/** The same with bytes from several places, at most `write_parts_max`. */
inline constexpr std::size_t write_parts_max = 4;
inline void write_parts(int fd, std::uint64_t unique, std::size_t length, std::span<const iovec> parts) {
  wire::OutHeader header{.length = static_cast<std::uint32_t>(sizeof header + length), .error = 0, .unique = unique};
  std::array<iovec, 1 + write_parts_max> all{{{.iov_base = &header, .iov_len = sizeof header}}};
  std::copy(parts.begin(), parts.end(), all.begin() + 1);
  [[maybe_unused]] const ssize_t written = ::writev(fd, all.data(), static_cast<int>(1 + parts.size()));
}

/** Room for one READ's answer: the bytes start at a page, the header ends right before them, and one write takes both.
 */
class ReplyBuffer {
 public:
  static constexpr std::size_t header_room = 4096;

  /** @param memory `header_room` bytes, and behind them room for the longest READ */
  explicit ReplyBuffer(std::span<std::byte> memory) : memory_(memory) {}

  [[nodiscard]] std::span<std::byte> bytes(std::size_t length) const { return memory_.subspan(header_room, length); }

  /**
   * Write the first `length` bytes as the answer to `unique`. Whatever the write says, the request is done: ENOENT when
   * its reader has gone, ENODEV when the mount has.
   */
  void send(int fd, std::uint64_t unique, std::size_t length) const {
    const wire::OutHeader header{
        .length = static_cast<std::uint32_t>(sizeof header + length), .error = 0, .unique = unique};
    std::byte* const start = &memory_[header_room - sizeof header];
    std::memcpy(start, &header, sizeof header);
    [[maybe_unused]] const ssize_t written = ::write(fd, start, sizeof header + length);
  }

 private:
  std::span<std::byte> memory_;
};

}  // namespace parentfs::session
