/** A connected socket, as bytes go in and out of it: as they are, or in TLS (http/tls.h). Nothing here waits. */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace parentfs::http {

/** The outcome of a try. */
struct IoResult {
  enum class Then : std::uint8_t {
    /** Try again: there may be more. */
    again,
    /** Not before the socket can be read. */
    wait_to_receive,
    /** Not before it can be written to. */
    wait_to_send,
    /** It is no connection any more: the other side has ended it, or there is an `error`. */
    end,
  };
  std::size_t bytes = 0;
  Then then = Then::again;
  /** An errno, or 0. EPROTO: the two have not understood or believed each other. */
  int error = 0;
};

/** Do more bytes follow at once? Then these may wait for them. */
enum class MoreFollows : std::uint8_t { no, yes };

class Transport {
 public:
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /** The handshake before the first request. `again`: it is done. */
  virtual IoResult greet() = 0;
  virtual IoResult receive(std::span<std::byte> place) = 0;
  virtual IoResult send(std::string_view bytes, MoreFollows more) = 0;
  IoResult send(std::string_view bytes) { return send(bytes, MoreFollows::no); }
  /** Does it hold bytes that the kernel has given it, and that were not received yet? */
  [[nodiscard]] virtual bool holds_more() const = 0;

 protected:
  Transport() = default;
};

class PlainTransport : public Transport {
 public:
  /** @param socket stays the caller's, and open */
  explicit PlainTransport(int socket) : socket_(socket) {}
  IoResult greet() override { return {}; }
  IoResult receive(std::span<std::byte> place) override;
  IoResult send(std::string_view bytes, MoreFollows more) override;
  using Transport::send;
  [[nodiscard]] bool holds_more() const override { return false; }

 private:
  const int socket_;
};

}  // namespace parentfs::http
