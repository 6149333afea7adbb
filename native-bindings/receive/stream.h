/** A connected socket, as bytes go in and out of it: as they are, or in TLS (receive/tls.h). Nothing here waits. */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace parentfs::receive {

/** What a try came to. */
struct Moved {
  enum class Then : std::uint8_t {
    /** Try again: there may be more. */
    go_on,
    /** Not before the socket can be read. */
    wait_to_receive,
    /** Not before it can be written to. */
    wait_to_send,
    /** It is no connection any more: the other side has ended it, or there is an `error`. */
    end,
  };
  std::size_t bytes = 0;
  Then then = Then::go_on;
  /** An errno, or 0. EPROTO: the two have not understood or believed each other. */
  int error = 0;
};

class Stream {
 public:
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /** What has to be settled before the first request. `go_on`: it is. */
  virtual Moved greet() = 0;
  virtual Moved receive(std::span<std::byte> place) = 0;
  virtual Moved send(std::string_view bytes) = 0;
  /** Does it hold bytes that the kernel has given it, and nobody has received yet? */
  [[nodiscard]] virtual bool holds_more() const = 0;

 protected:
  Stream() = default;
};

class PlainStream : public Stream {
 public:
  /** @param socket stays the caller's, and open */
  explicit PlainStream(int socket) : socket_(socket) {}
  Moved greet() override { return {}; }
  Moved receive(std::span<std::byte> place) override;
  Moved send(std::string_view bytes) override;
  [[nodiscard]] bool holds_more() const override { return false; }

 private:
  const int socket_;
};

}  // namespace parentfs::receive
