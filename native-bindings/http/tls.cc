/** Calls of OpenSSL. Each leaves the thread's queue of errors empty: others of the process look into it, too. */
#include "http/tls.h"

#include <fcntl.h>

#include <limits>
#include <string_view>

#include "http/openssl.h"
#include "http/tls-stream.h"

namespace parentfs::http {

namespace {

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
                         ssl->SSL_CTX_set_ciphersuites(context, tls_1_3_suites) == 1 &&
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
  auto made = std::make_unique<TlsStream>(own, TlsStream::Side::client);
  void* parameters = ssl.SSL_get0_param(own);
  ssl.X509_VERIFY_PARAM_set_hostflags(parameters, OpenSsl::no_partial_wildcards);
  const bool is_checked =
      ssl.X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str()) == 1 ||
      (!host.empty() && ssl.SSL_set1_host(own, host.c_str()) == 1 &&
       ssl.SSL_ctrl(own, OpenSsl::control_server_name, OpenSsl::server_name_host, const_cast<char*>(host.c_str())) == 1);
  void* received = is_checked ? TlsStream::buffer_of(socket) : nullptr;
  const bool is_ready = received != nullptr && made->connect(socket, received);
  ssl.ERR_clear_error();
  return is_ready ? std::move(made) : nullptr;
}

}  // namespace parentfs::http
