/** Connections in TLS, with the OpenSSL of the process. */
#pragma once

#include <memory>
#include <string>

#include "http/transport.h"

namespace parentfs::http {

/** A trust and its protocol settings: shared by connections. */
class TlsContext {
 public:
  /**
   * @param trusted certificates of authorities, as PEM
   * @param ciphers up to TLS 1.2, as OpenSSL has such lists; what it does not know is left out
   * @returns null where the process has no OpenSSL that could be used, or that has failed
   */
  static std::shared_ptr<TlsContext> create(const std::string& trusted, const std::string& ciphers);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  /**
   * @param socket stays the caller's, and open
   * @param host that its certificate has to name: a name, or an address
   * @returns null where OpenSSL has failed
   */
  std::unique_ptr<Transport> open(int socket, const std::string& host);

 private:
  explicit TlsContext(void* context) : context_(context) {}

  void* context_;
};

}  // namespace parentfs::http
