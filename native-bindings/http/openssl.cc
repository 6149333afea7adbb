/** Finding OpenSSL among what the process has loaded. */
#include "http/openssl.h"

#include "syscalls/loaded-function.h"

namespace parentfs::http {

namespace {

#define FIND(name) syscalls::find_loaded(found.name, #name)

bool find_all(OpenSsl& found) {
  return FIND(OpenSSL_version_num) && FIND(ERR_clear_error) && FIND(BIO_new_mem_buf) && FIND(BIO_free) &&
         FIND(BIO_new) && FIND(BIO_new_socket) && FIND(BIO_f_buffer) && FIND(BIO_push) && FIND(BIO_ctrl) &&
         FIND(BIO_int_ctrl) && FIND(PEM_read_bio_X509) && FIND(X509_free) && FIND(X509_STORE_add_cert) && FIND(X509_VERIFY_PARAM_set1_ip_asc) &&
         FIND(X509_VERIFY_PARAM_set_hostflags) && FIND(PEM_read_bio_PrivateKey) && FIND(EVP_PKEY_free) && FIND(i2d_X509) && FIND(TLS_client_method) &&
         FIND(TLS_server_method) && FIND(SSL_CTX_use_certificate) && FIND(SSL_CTX_use_PrivateKey) &&
         FIND(SSL_CTX_check_private_key) && FIND(SSL_CTX_add_client_CA) && FIND(SSL_CTX_set_num_tickets) &&
         FIND(SSL_accept) && FIND(SSL_get_verify_result) && FIND(SSL_get1_peer_certificate) && FIND(SSL_CTX_new) && FIND(SSL_CTX_free) &&
         FIND(SSL_CTX_ctrl) && FIND(SSL_CTX_set_options) && FIND(SSL_CTX_set_verify) && FIND(SSL_CTX_set_cipher_list) &&
         FIND(SSL_CTX_set_ciphersuites) && FIND(SSL_CTX_set_alpn_protos) && FIND(SSL_CTX_get_cert_store) && FIND(SSL_new) && FIND(SSL_free) && FIND(SSL_set_wfd) && FIND(SSL_set0_rbio) && FIND(SSL_ctrl) &&
         FIND(SSL_set1_host) && FIND(SSL_get0_param) && FIND(SSL_connect) && FIND(SSL_read) && FIND(SSL_write) &&
         FIND(SSL_get_error) && FIND(SSL_has_pending);
}

#undef FIND

/** 0xMNN00PP0L: M is the major version. Source: OpenSSL_version_num(3). */
bool is_known(const OpenSsl& found) { return found.OpenSSL_version_num() >> 28 == 3; }

}  // namespace

const OpenSsl* openssl() {
  static OpenSsl found;
  static const bool is_there = find_all(found) && is_known(found);
  return is_there ? &found : nullptr;
}

}  // namespace parentfs::http
