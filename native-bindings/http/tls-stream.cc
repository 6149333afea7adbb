/** The buffer in front of the socket. */
#include "http/tls-stream.h"

namespace parentfs::http {

namespace {

/**
 * Received at once, from where OpenSSL copies one record at a time. Its own read-ahead moves the rest of what it holds
 * to the front before each record, so that more of it is more work; with records received one by one, each is two calls
 * of the kernel and an acknowledgement. Source: OpenSSL 3.0 ssl/record/rec_layer_s3.c, ssl3_read_n.
 */
constexpr int read_buffer_bytes = 64 * 1024;

}  // namespace

void* TlsStream::buffer_of(int socket) {
  const OpenSsl& ssl = *openssl();
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

}  // namespace parentfs::http
