/** The server's side of TLS 1.3, with the OpenSSL of the process: its certificate, and the authorities of clients. */
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "http/tls-stream.h"

namespace parentfs::http {

/** The certificate that a client has shown. */
struct ClientCertificate {
  /** As DER; empty: none. */
  std::vector<std::byte> der;
  /** Is it one of the authorities', and valid at the handshake? */
  bool is_trusted = false;
};

class TlsServer {
 public:
  /**
   * @param certificates as PEM: the server's own, then those between it and its authority
   * @param key as PEM, without a password
   * @param authorities of clients, as PEM; empty: clients are not asked for certificates. All are let in: who asks
   * looks at `certificate_of`
   * @returns null where the process has no OpenSSL that could be used, or that takes these
   */
  static std::shared_ptr<TlsServer> create(const std::string& certificates, const std::string& key,
                                           const std::string& authorities);
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  /** @param socket stays the caller's, open, and does not block. @returns null where OpenSSL has failed */
  std::unique_ptr<TlsStream> accept(int socket);
  /** After the handshake. */
  static ClientCertificate certificate_of(const TlsStream& stream);

 private:
  explicit TlsServer(void* context) : context_(context) {}

  void* context_;
};

}  // namespace parentfs::http
