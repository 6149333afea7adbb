/**
 * OpenSSL 3 as far as we call it: the one that is part of the node executable, or that it is linked with. Nothing of OpenSSL is needed to build
 * the addon or to load it.
 *
 * The declarations are our own, written down from the documented interfaces, which stay for all of OpenSSL 3. test/openssl/prototypes.cc
 * compares each with Node's own headers. Source: OpenSSL 3.0 include/openssl/{ssl,x509,x509_vfy,pem,bio,err}.h.in, tls1.h.
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace parentfs::http {

struct OpenSsl {
  using Any = void;
  using Password = int (*)(char* into, int bytes, int is_for_writing, void* argument);

  unsigned long (*OpenSSL_version_num)();
  void (*ERR_clear_error)();

  Any* (*BIO_new_mem_buf)(const void* bytes, int length);
  int (*BIO_free)(Any* bio);
  Any* (*BIO_new)(const Any* kind);
  Any* (*BIO_new_socket)(int fd, int is_closed_with_it);
  const Any* (*BIO_f_buffer)();
  Any* (*BIO_push)(Any* bio, Any* next);
  long (*BIO_ctrl)(Any* bio, int command, long number, void* pointer);
  long (*BIO_int_ctrl)(Any* bio, int command, long number, int argument);
  Any* (*PEM_read_bio_X509)(Any* bio, Any** into, Password password, void* argument);
  void (*X509_free)(Any* certificate);
  int (*X509_STORE_add_cert)(Any* store, Any* certificate);
  int (*X509_VERIFY_PARAM_set1_ip_asc)(Any* parameters, const char* address);
  void (*X509_VERIFY_PARAM_set_hostflags)(Any* parameters, unsigned flags);

  Any* (*PEM_read_bio_PrivateKey)(Any* bio, Any** into, Password password, void* argument);
  void (*EVP_PKEY_free)(Any* key);
  int (*i2d_X509)(const Any* certificate, unsigned char** into);

  const Any* (*TLS_client_method)();
  const Any* (*TLS_server_method)();
  Any* (*SSL_CTX_new)(const Any* method);
  void (*SSL_CTX_free)(Any* context);
  long (*SSL_CTX_ctrl)(Any* context, int command, long number, void* pointer);
  std::uint64_t (*SSL_CTX_set_options)(Any* context, std::uint64_t options);
  void (*SSL_CTX_set_verify)(Any* context, int mode, void* callback);
  int (*SSL_CTX_set_cipher_list)(Any* context, const char* list);
  int (*SSL_CTX_set_ciphersuites)(Any* context, const char* list);
  int (*SSL_CTX_set_alpn_protos)(Any* context, const unsigned char* protocols, unsigned length);
  Any* (*SSL_CTX_get_cert_store)(const Any* context);

  int (*SSL_CTX_use_certificate)(Any* context, Any* certificate);
  int (*SSL_CTX_use_PrivateKey)(Any* context, Any* key);
  int (*SSL_CTX_check_private_key)(const Any* context);
  int (*SSL_CTX_add_client_CA)(Any* context, Any* certificate);
  int (*SSL_CTX_set_num_tickets)(Any* context, std::size_t tickets);

  Any* (*SSL_new)(Any* context);
  void (*SSL_free)(Any* ssl);
  int (*SSL_set_wfd)(Any* ssl, int fd);
  void (*SSL_set0_rbio)(Any* ssl, Any* bio);
  long (*SSL_ctrl)(Any* ssl, int command, long number, void* pointer);
  int (*SSL_set1_host)(Any* ssl, const char* name);
  Any* (*SSL_get0_param)(Any* ssl);
  int (*SSL_connect)(Any* ssl);
  int (*SSL_accept)(Any* ssl);
  long (*SSL_get_verify_result)(const Any* ssl);
  Any* (*SSL_get1_peer_certificate)(const Any* ssl);
  int (*SSL_read)(Any* ssl, void* into, int bytes);
  int (*SSL_write)(Any* ssl, const void* from, int bytes);
  int (*SSL_get_error)(const Any* ssl, int result);
  int (*SSL_has_pending)(const Any* ssl);

  static constexpr int bio_pending = 10;
  static constexpr int bio_set_buffer_bytes = 117;
  static constexpr int bio_of_receiving = 0;
  static constexpr int control_mode = 33;
  static constexpr int control_clear_mode = 78;
  static constexpr int control_session_cache_mode = 44;
  static constexpr int control_chain_certificate = 89;
  static constexpr int control_server_name = 55;
  static constexpr int control_version_min = 123;
  static constexpr long server_name_host = 0;
  static constexpr long version_tls_1_2 = 0x0303;
  static constexpr long version_tls_1_3 = 0x0304;
  static constexpr long mode_release_buffers = 16;
  static constexpr long mode_partial_write = 1;
  static constexpr long mode_moving_buffer = 2;
  static constexpr long mode_auto_retry = 4;
  static constexpr std::uint64_t option_no_renegotiation = std::uint64_t{1} << 30;
  static constexpr std::uint64_t option_server_preference = std::uint64_t{1} << 22;
  static constexpr int verify_peer = 1;
  static constexpr long verified = 0;
  static constexpr unsigned no_partial_wildcards = 4;
  static constexpr int error_want_read = 2;
  static constexpr int error_want_write = 3;
  static constexpr int error_system_call = 5;
  static constexpr int error_ended = 6;
};

/** @returns the process's OpenSSL; null where it has none that is known */
const OpenSsl* openssl();

}  // namespace parentfs::http
