/**
 * The prototypes and constants of http/openssl.h beside those of the headers that Node.js ships: compiled, never run. A difference is an error
 * of the compiler.
 */
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <cstddef>
#include <type_traits>

#include "http/openssl.h"
#include "verity/sha2.h"

namespace {

using parentfs::http::OpenSsl;

/** A type as openssl.h writes it: void in place of OpenSSL's own structures, and of callbacks that take one. */
template <class T>
struct Erased {
  using Type = T;
};
template <class T>
  requires std::is_class_v<T>
struct Erased<T*> {
  using Type = std::conditional_t<std::is_const_v<T>, const void*, void*>;
};
template <class T>
  requires std::is_class_v<T>
struct Erased<T**> {
  using Type = void**;
};
template <>
struct Erased<SSL_verify_cb> {
  using Type = void*;
};
template <class Result, class... Arguments>
  requires(!std::is_same_v<Result (*)(Arguments...), pem_password_cb*> && !std::is_same_v<Result (*)(Arguments...), SSL_verify_cb>)
struct Erased<Result (*)(Arguments...)> {
  using Type = typename Erased<Result>::Type (*)(typename Erased<Arguments>::Type...);
};

constexpr std::size_t counted_before = __COUNTER__;

#define SAME(name)                                                                        \
  static_assert(__COUNTER__ > counted_before &&                                           \
                std::is_same_v<decltype(OpenSsl::name), Erased<decltype(&::name)>::Type>)

SAME(OpenSSL_version_num);
SAME(ERR_clear_error);
SAME(BIO_new_mem_buf);
SAME(BIO_free);
SAME(BIO_new);
SAME(BIO_new_socket);
SAME(BIO_f_buffer);
SAME(BIO_push);
SAME(BIO_ctrl);
SAME(BIO_int_ctrl);
SAME(PEM_read_bio_X509);
SAME(X509_free);
SAME(X509_STORE_add_cert);
SAME(X509_VERIFY_PARAM_set1_ip_asc);
SAME(X509_VERIFY_PARAM_set_hostflags);
SAME(PEM_read_bio_PrivateKey);
SAME(EVP_PKEY_free);
SAME(i2d_X509);
SAME(TLS_client_method);
SAME(TLS_server_method);
SAME(SSL_CTX_new);
SAME(SSL_CTX_free);
SAME(SSL_CTX_ctrl);
SAME(SSL_CTX_set_options);
SAME(SSL_CTX_set_verify);
SAME(SSL_CTX_set_cipher_list);
SAME(SSL_CTX_set_ciphersuites);
SAME(SSL_CTX_set_alpn_protos);
SAME(SSL_CTX_get_cert_store);
SAME(SSL_CTX_use_certificate);
SAME(SSL_CTX_use_PrivateKey);
SAME(SSL_CTX_check_private_key);
SAME(SSL_CTX_add_client_CA);
SAME(SSL_CTX_set_num_tickets);
SAME(SSL_new);
SAME(SSL_free);
SAME(SSL_set_wfd);
SAME(SSL_set0_rbio);
SAME(SSL_ctrl);
SAME(SSL_set1_host);
SAME(SSL_get0_param);
SAME(SSL_connect);
SAME(SSL_accept);
SAME(SSL_get_verify_result);
SAME(SSL_get1_peer_certificate);
SAME(SSL_read);
SAME(SSL_write);
SAME(SSL_get_error);
SAME(SSL_has_pending);

static_assert((__COUNTER__ - counted_before - 1) * sizeof(void*) == sizeof(OpenSsl), "a prototype is not compared");

static_assert(OpenSsl::bio_pending == BIO_CTRL_PENDING);
static_assert(OpenSsl::bio_set_buffer_bytes == BIO_C_SET_BUFF_SIZE);
static_assert(OpenSsl::control_mode == SSL_CTRL_MODE);
static_assert(OpenSsl::control_clear_mode == SSL_CTRL_CLEAR_MODE);
static_assert(OpenSsl::control_server_name == SSL_CTRL_SET_TLSEXT_HOSTNAME);
static_assert(OpenSsl::control_version_min == SSL_CTRL_SET_MIN_PROTO_VERSION);
static_assert(OpenSsl::server_name_host == TLSEXT_NAMETYPE_host_name);
static_assert(OpenSsl::version_tls_1_2 == TLS1_2_VERSION);
static_assert(OpenSsl::mode_partial_write == SSL_MODE_ENABLE_PARTIAL_WRITE);
static_assert(OpenSsl::mode_moving_buffer == SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
static_assert(OpenSsl::mode_auto_retry == SSL_MODE_AUTO_RETRY);
static_assert(OpenSsl::option_no_renegotiation == SSL_OP_NO_RENEGOTIATION);
static_assert(OpenSsl::control_session_cache_mode == SSL_CTRL_SET_SESS_CACHE_MODE);
static_assert(OpenSsl::control_chain_certificate == SSL_CTRL_CHAIN_CERT);
static_assert(OpenSsl::version_tls_1_3 == TLS1_3_VERSION);
static_assert(OpenSsl::mode_release_buffers == SSL_MODE_RELEASE_BUFFERS);
static_assert(OpenSsl::option_server_preference == SSL_OP_CIPHER_SERVER_PREFERENCE);
static_assert(OpenSsl::verified == X509_V_OK);
static_assert(OpenSsl::verify_peer == SSL_VERIFY_PEER);
static_assert(OpenSsl::no_partial_wildcards == X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
static_assert(OpenSsl::error_want_read == SSL_ERROR_WANT_READ);
static_assert(OpenSsl::error_want_write == SSL_ERROR_WANT_WRITE);
static_assert(OpenSsl::error_system_call == SSL_ERROR_SYSCALL);
static_assert(OpenSsl::error_ended == SSL_ERROR_ZERO_RETURN);

using parentfs::verity::Sha2;

#define SAME_SHA(name, context) \
  static_assert(std::is_same_v<decltype(Sha2::name), SameButContext<decltype(&::name), context>::Type>)

/** The pointer to OpenSSL's structure becomes one to void. */
template <class Function, class Context>
struct SameButContext;
template <class Context, class... Rest>
struct SameButContext<int (*)(Context*, Rest...), Context> {
  using Type = int (*)(void*, Rest...);
};
template <class Context>
struct SameButContext<int (*)(unsigned char*, Context*), Context> {
  using Type = int (*)(unsigned char*, void*);
};

// They are deprecated in favour of EVP, which allocates for each digest, and stay for all of OpenSSL 3.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
SAME_SHA(SHA256_Init, SHA256_CTX);
SAME_SHA(SHA256_Update, SHA256_CTX);
SAME_SHA(SHA256_Final, SHA256_CTX);
SAME_SHA(SHA512_Init, SHA512_CTX);
SAME_SHA(SHA512_Update, SHA512_CTX);
SAME_SHA(SHA512_Final, SHA512_CTX);
#pragma GCC diagnostic pop
static_assert(sizeof(SHA256_CTX) == parentfs::verity::sha256_context_bytes);
static_assert(sizeof(SHA512_CTX) == parentfs::verity::sha512_context_bytes);

}  // namespace
