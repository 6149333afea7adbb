/**
 * One connection in TLS, of either side: calls of OpenSSL. Each leaves the thread's queue of errors empty: others of the
 * process look into it, too.
 */
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <limits>
#include <span>
#include <string_view>

#include "http/openssl.h"
#include "http/transport.h"

namespace parentfs::http {

/**
 * Those of TLS 1.3, the cheapest of the strong ones first: with 128 bits it is a fifth less work for both sides.
 * Source: RFC 8446 B.4.
 */
inline constexpr const char* tls_1_3_suites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

class TlsStream : public Transport {
 public:
  enum class Side { client, server };

  /** @param own its SSL, freed with it */
  TlsStream(void* own, Side side) : ssl_(*openssl()), own_(own), side_(side) {}
  ~TlsStream() override { ssl_.SSL_free(own_); }
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  /** Read through `received`, which becomes its own, and write to `socket`. @returns false where OpenSSL has failed */
  bool connect(int socket, void* received) {
    received_ = received;
    ssl_.SSL_set0_rbio(own_, received);
    return ssl_.SSL_set_wfd(own_, socket) == 1;
  }

  /** A buffer in front of a socket that stays the caller's. @returns null where OpenSSL has failed */
  static void* buffer_of(int socket);
  [[nodiscard]] void* own() const { return own_; }

  IoResult greet() override {
    return tried([&] { return side_ == Side::client ? ssl_.SSL_connect(own_) : ssl_.SSL_accept(own_); }, false);
  }
  IoResult receive(std::span<std::byte> place) override {
    IoResult got = tried([&] { return ssl_.SSL_read(own_, place.data(), as_int(place.size())); }, true);
    // A record without bytes for us, such as a ticket, and others behind it.
    if (got.then == IoResult::Then::wait_to_receive && has_buffered()) got.then = IoResult::Then::again;
    return got;
  }
  using Transport::send;
  IoResult send(std::string_view bytes, MoreFollows /*more*/) override {
    return tried([&] { return ssl_.SSL_write(own_, bytes.data(), as_int(bytes.size())); }, true);
  }
  [[nodiscard]] bool holds_more() const override { return ssl_.SSL_has_pending(own_) == 1 || has_buffered(); }

 private:
  static int as_int(std::size_t bytes) {
    return static_cast<int>(std::min<std::size_t>(bytes, std::numeric_limits<int>::max()));
  }

  /** The first part of a record does not count: OpenSSL has taken it, and waits for the rest. */
  [[nodiscard]] bool has_buffered() const { return ssl_.BIO_ctrl(received_, OpenSsl::bio_pending, 0, nullptr) > 0; }

  template <class Call>
  IoResult tried(Call call, bool moves_bytes) {
    ssl_.ERR_clear_error();
    errno = 0;
    const int result = call();
    if (result > 0) return {.bytes = moves_bytes ? static_cast<std::size_t>(result) : 0};
    const int error = errno;
    const int why = ssl_.SSL_get_error(own_, result);
    ssl_.ERR_clear_error();
    switch (why) {
      case OpenSsl::error_want_read:
        return {.then = IoResult::Then::wait_to_receive};
      case OpenSsl::error_want_write:
        return {.then = IoResult::Then::wait_to_send};
      case OpenSsl::error_ended:
        return {.then = IoResult::Then::end};
      case OpenSsl::error_system_call:
        return {.then = IoResult::Then::end, .error = error};
      default:
        return {.then = IoResult::Then::end, .error = EPROTO};
    }
  }

  const OpenSsl& ssl_;
  void* own_;
  const Side side_;
  /** Of `own_`: the buffer in front of the socket. */
  void* received_ = nullptr;
};

}  // namespace parentfs::http
