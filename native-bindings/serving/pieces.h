/**
 * Pieces of a data file on their way into a socket: spliced where pages of the file stay as they are, else copied into
 * the thread's buffer. Nothing here waits for the disk: a piece that would is brought by a store thread first.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "http/transport.h"
#include "image/data-file.h"
#include "owned-fd.h"

namespace parentfs::serving {

/** A piece that a store thread has read. */
struct BroughtPiece {
  std::uint64_t offset = 0;
  std::vector<std::byte> bytes;
  bool is_there = false;
};

/** The outcome of a try to send a piece. */
struct PieceResult {
  enum class Then : std::uint8_t {
    /** Bytes were taken. */
    again,
    /** Not before the socket can be written to. */
    wait_to_send,
    /** Not before a store thread has brought the piece. */
    wait_for_disk,
    /** The bytes are not resident any more. */
    missing,
    /** The connection has ended. */
    end,
  };
  std::size_t bytes = 0;
  Then then = Then::again;
};

/** The means of one thread. */
class PieceSender {
 public:
  /** A piece without a copy: as many pages as the pipe holds. */
  static constexpr std::size_t spliced_bytes = std::size_t{256} * 1024;
  /** A piece that is copied: it stays in the processor's cache between the file and the socket. */
  static constexpr std::size_t copied_bytes = std::size_t{64} * 1024;

  PieceSender();

  /** Has the pipe room enough? A process over its share of such memory copies. */
  [[nodiscard]] bool can_splice() const { return pipe_bytes_ >= spliced_bytes * 2; }
  /** Without TLS, where `can_splice`. @param is_last no more follows in this stream for now */
  PieceResult splice(int socket, const image::DataFile& file, std::uint64_t offset, std::uint64_t length, bool is_last);
  /** @param brought the piece at `offset`, where a store thread had to read it */
  PieceResult copy(http::Transport& stream, const image::DataFile& file, std::uint64_t offset, std::uint64_t length,
                   const BroughtPiece* brought);

 private:
  void empty_pipe(std::size_t bytes);

  OwnedFd out_;
  OwnedFd in_;
  OwnedFd sink_;
  std::size_t pipe_bytes_ = 0;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(copied_bytes);
};

}  // namespace parentfs::serving
