/** Calls of OpenSSL for connections that are accepted. */
#include "http/tls-server.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "http/openssl.h"

namespace parentfs::http {

namespace {

/** Without it, OpenSSL would ask at the terminal for what an encrypted key needs. */
int refuse_password(char* /*into*/, int /*bytes*/, int /*is_for_writing*/, void* /*argument*/) { return -1; }

/** Every client may go on: the result of the check is kept and asked for later. */
int go_on(int /*is_good*/, void* /*store*/) { return 1; }

/** Calls `take` with each certificate of a text, which frees it afterwards. @returns how many there were */
template <class Take>
int each_certificate(const OpenSsl& ssl, const std::string& pem, Take&& take) {
  int count = 0;
  void* bio = ssl.BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  if (bio == nullptr) return 0;
  while (void* certificate = ssl.PEM_read_bio_X509(bio, nullptr, refuse_password, nullptr)) {
    const bool is_good = take(certificate, count);
    ssl.X509_free(certificate);
    if (!is_good) break;
    count++;
  }
  ssl.BIO_free(bio);
  return count;
}

bool identify(const OpenSsl& ssl, void* context, const std::string& certificates, const std::string& key) {
  const int count = each_certificate(ssl, certificates, [&](void* certificate, int number) {
    if (number == 0) return ssl.SSL_CTX_use_certificate(context, certificate) == 1;
    return ssl.SSL_CTX_ctrl(context, OpenSsl::control_chain_certificate, 1, certificate) == 1;
  });
  void* bio = count == 0 ? nullptr : ssl.BIO_new_mem_buf(key.data(), static_cast<int>(key.size()));
  void* own = bio == nullptr ? nullptr : ssl.PEM_read_bio_PrivateKey(bio, nullptr, refuse_password, nullptr);
  const bool is_good = own != nullptr && ssl.SSL_CTX_use_PrivateKey(context, own) == 1 &&
                       ssl.SSL_CTX_check_private_key(context) == 1;
  if (own != nullptr) ssl.EVP_PKEY_free(own);
  if (bio != nullptr) ssl.BIO_free(bio);
  return is_good;
}

}  // namespace

std::shared_ptr<TlsServer> TlsServer::create(const std::string& certificates, const std::string& key,
                                             const std::string& authorities) {
  const OpenSsl* ssl = openssl();
  constexpr auto bytes_max = static_cast<std::size_t>(std::numeric_limits<int>::max());
  if (ssl == nullptr || std::max({certificates.size(), key.size(), authorities.size()}) > bytes_max) return nullptr;
  void* context = ssl->SSL_CTX_new(ssl->TLS_server_method());
  if (context == nullptr) return nullptr;
  auto made = std::shared_ptr<TlsServer>(new TlsServer(context));
  ssl->SSL_CTX_set_options(context, OpenSsl::option_no_renegotiation | OpenSsl::option_server_preference);
  ssl->SSL_CTX_ctrl(context, OpenSsl::control_mode,
                    OpenSsl::mode_partial_write | OpenSsl::mode_moving_buffer | OpenSsl::mode_release_buffers, nullptr);
  ssl->SSL_CTX_ctrl(context, OpenSsl::control_clear_mode, OpenSsl::mode_auto_retry, nullptr);
  // No session goes on after its connection: a certificate is looked at in each handshake.
  ssl->SSL_CTX_ctrl(context, OpenSsl::control_session_cache_mode, 0, nullptr);
  const bool is_strict = ssl->SSL_CTX_set_num_tickets(context, 0) == 1 &&
                         ssl->SSL_CTX_ctrl(context, OpenSsl::control_version_min, OpenSsl::version_tls_1_3, nullptr) == 1 &&
                         ssl->SSL_CTX_set_ciphersuites(context, tls_1_3_suites) == 1;
  bool is_good = is_strict && identify(*ssl, context, certificates, key);
  if (is_good && !authorities.empty()) {
    void* store = ssl->SSL_CTX_get_cert_store(context);
    is_good = each_certificate(*ssl, authorities, [&](void* certificate, int /*number*/) {
                return ssl->X509_STORE_add_cert(store, certificate) == 1 &&
                       ssl->SSL_CTX_add_client_CA(context, certificate) == 1;
              }) > 0;
    ssl->SSL_CTX_set_verify(context, OpenSsl::verify_peer, reinterpret_cast<void*>(go_on));
  }
  ssl->ERR_clear_error();
  return is_good ? made : nullptr;
}

TlsServer::~TlsServer() { openssl()->SSL_CTX_free(context_); }

std::unique_ptr<TlsStream> TlsServer::accept(int socket) {
  const OpenSsl& ssl = *openssl();
  void* own = ssl.SSL_new(context_);
  if (own == nullptr) return nullptr;
  auto made = std::make_unique<TlsStream>(own, TlsStream::Side::server);
  void* received = TlsStream::buffer_of(socket);
  const bool is_ready = received != nullptr && made->connect(socket, received);
  ssl.ERR_clear_error();
  return is_ready ? std::move(made) : nullptr;
}

ClientCertificate TlsServer::certificate_of(const TlsStream& stream) {
  const OpenSsl& ssl = *openssl();
  ClientCertificate found;
  void* certificate = ssl.SSL_get1_peer_certificate(stream.own());
  if (certificate == nullptr) return found;
  found.is_trusted = ssl.SSL_get_verify_result(stream.own()) == OpenSsl::verified;
  const int bytes = ssl.i2d_X509(certificate, nullptr);
  if (bytes > 0) {
    found.der.resize(static_cast<std::size_t>(bytes));
    auto* into = reinterpret_cast<unsigned char*>(found.der.data());
    ssl.i2d_X509(certificate, &into);
  }
  ssl.X509_free(certificate);
  ssl.ERR_clear_error();
  return found;
}

}  // namespace parentfs::http
