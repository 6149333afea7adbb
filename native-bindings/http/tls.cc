/** Calls of OpenSSL. Each leaves the thread's queue of errors empty: others of the process look into it, too. */
#include "http/tls.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <string_view>

#include "http/openssl.h"

namespace parentfs::http {

namespace {

/**
 * Received at once, from where OpenSSL copies one record at a time. Its own read-ahead moves the rest of what it holds
 * to the front before each record, so that more of it is more work; with records received one by one, each is two calls
 * of the kernel and an acknowledgement. Source: OpenSSL 3.0 ssl/record/rec_layer_s3.c, ssl3_read_n.
 */
constexpr int read_buffer_bytes = 64 * 1024;
/**
 * Those of TLS 1.3, the cheapest of the strong ones first: with 128 bits it is a fifth less work for both sides.
 * Source: RFC 8446 B.4.
 */
constexpr const char* suites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
/** Source: RFC 7301 3.1. */
constexpr std::string_view http_1_1("\x08http/1.1");

/** Without it, OpenSSL would ask at the terminal for what an encrypted certificate needs. */
int no_password(char* /*into*/, int /*bytes*/, int /*is_for_writing*/, void* /*argument*/) { return -1; }

void trust(const OpenSsl& ssl, void* context, const std::string& pem) {
  void* bio = ssl.BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  if (bio == nullptr) return;
  void* store = ssl.SSL_CTX_get_cert_store(context);
  while (void* certificate = ssl.PEM_read_bio_X509(bio, nullptr, no_password, nullptr)) {
    ssl.X509_STORE_add_cert(store, certificate);
    ssl.X509_free(certificate);
  }
  ssl.BIO_free(bio);
}

class TlsStream : public Transport {
 public:
  explicit TlsStream(void* own) : ssl_(*openssl()), own_(own) {}
  ~TlsStream() override { ssl_.SSL_free(own_); }
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  /** Read through `received`, which becomes its own, and write to `socket`. @returns false where OpenSSL has failed */
  bool connect(int socket, void* received) {
    received_ = received;
    ssl_.SSL_set0_rbio(own_, received);
    return ssl_.SSL_set_wfd(own_, socket) == 1;
  }

  IoResult greet() override {
    return tried([&] { return ssl_.SSL_connect(own_); }, false);
  }
  IoResult receive(std::span<std::byte> place) override {
    IoResult got = tried([&] { return ssl_.SSL_read(own_, place.data(), as_int(place.size())); }, true);
    // A record without bytes for us, such as a ticket, and others behind it.
    if (got.then == IoResult::Then::wait_to_receive && has_buffered()) got.then = IoResult::Then::again;
    return got;
  }
  IoResult send(std::string_view bytes) override {
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
  /** Of `own_`: the buffer in front of the socket. */
  void* received_ = nullptr;
};

/** A buffer in front of a socket that stays the caller's. @returns null where OpenSSL has failed */
void* buffer_of(const OpenSsl& ssl, int socket) {
  void* buffer = ssl.BIO_new(ssl.BIO_f_buffer());
  void* bare = ssl.BIO_new_socket(socket, 0);
  if (buffer == nullptr || bare == nullptr ||
      ssl.BIO_int_ctrl(buffer, OpenSsl::bio_set_buffer_bytes, read_buffer_bytes, OpenSsl::bio_of_receiving) != 1) {
    ssl.BIO_free(buffer);
    ssl.BIO_free(bare);
    return nullptr;
  }
  return ssl.BIO_push(buffer, bare);
}

}  // namespace

std::shared_ptr<TlsContext> TlsContext::create(const std::string& trusted, const std::string& ciphers) {
  const OpenSsl* ssl = openssl();
  if (ssl == nullptr || trusted.size() > std::numeric_limits<int>::max()) return nullptr;
  void* context = ssl->SSL_CTX_new(ssl->TLS_client_method());
  if (context == nullptr) return nullptr;
  auto made = std::shared_ptr<TlsContext>(new TlsContext(context));
  trust(*ssl, context, trusted);
  ssl->SSL_CTX_set_verify(context, OpenSsl::verify_peer, nullptr);
  ssl->SSL_CTX_set_options(context, OpenSsl::option_no_renegotiation);
  ssl->SSL_CTX_ctrl(context, OpenSsl::control_mode, OpenSsl::mode_partial_write | OpenSsl::mode_moving_buffer, nullptr);
  // A server may send tickets and new keys for ever: SSL_read gives up its turn once it has none of them left in memory.
  ssl->SSL_CTX_ctrl(context, OpenSsl::control_clear_mode, OpenSsl::mode_auto_retry, nullptr);
  const bool is_strict = ssl->SSL_CTX_ctrl(context, OpenSsl::control_version_min, OpenSsl::version_tls_1_2, nullptr) == 1 &&
                         ssl->SSL_CTX_set_cipher_list(context, ciphers.c_str()) == 1 &&
                         ssl->SSL_CTX_set_ciphersuites(context, suites) == 1 &&
                         // Of these functions, the only one whose 0 is no error.
                         ssl->SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(http_1_1.data()),
                                                      static_cast<unsigned>(http_1_1.size())) == 0;
  ssl->ERR_clear_error();
  return is_strict ? made : nullptr;
}

TlsContext::~TlsContext() { openssl()->SSL_CTX_free(context_); }

std::unique_ptr<Transport> TlsContext::open(int socket, const std::string& host) {
  const OpenSsl& ssl = *openssl();
  const int flags = ::fcntl(socket, F_GETFL);
  if (flags < 0 || ::fcntl(socket, F_SETFL, flags | O_NONBLOCK) != 0) return nullptr;
  void* own = ssl.SSL_new(context_);
  if (own == nullptr) return nullptr;
  auto made = std::make_unique<TlsStream>(own);
  void* parameters = ssl.SSL_get0_param(own);
  ssl.X509_VERIFY_PARAM_set_hostflags(parameters, OpenSsl::no_partial_wildcards);
  const bool is_checked =
      ssl.X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str()) == 1 ||
      (!host.empty() && ssl.SSL_set1_host(own, host.c_str()) == 1 &&
       ssl.SSL_ctrl(own, OpenSsl::control_server_name, OpenSsl::server_name_host, const_cast<char*>(host.c_str())) == 1);
  void* received = is_checked ? buffer_of(ssl, socket) : nullptr;
  const bool is_ready = received != nullptr && made->connect(socket, received);
  ssl.ERR_clear_error();
  return is_ready ? std::move(made) : nullptr;
}

}  // namespace parentfs::http
