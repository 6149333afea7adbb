/**
 * Functions of zlib and libzstd as we call them, found when the first cluster is unpacked. zlib is Node.js's own;
 * libzstd is Node.js's own where it has one (22.15), else `libzstd.so.1`.
 *
 * Source: zlib.h of zlib 1.3 (the layout of z_stream is that of every 1.x, and inflateInit2_ refuses another size);
 * zstd.h of Zstandard 1.4 and later, its stable part.
 */
#pragma once

#include <cstddef>
#include <string>

namespace parentfs::unpack {

/** z_stream. */
struct ZlibStream {
  const unsigned char* next_in;
  unsigned avail_in;
  unsigned long total_in;
  unsigned char* next_out;
  unsigned avail_out;
  unsigned long total_out;
  const char* msg;
  void* state;
  void* zalloc;
  void* zfree;
  void* opaque;
  int data_type;
  unsigned long adler;
  unsigned long reserved;
};

struct Zlib {
  static constexpr int ok = 0;
  static constexpr int stream_end = 1;
  static constexpr int finish = 4;
  static constexpr int window_bits = 15;
  static constexpr const char* version = "1";

  int (*inflateInit2_)(ZlibStream* stream, int window_bits, const char* version, int stream_size);
  int (*inflate)(ZlibStream* stream, int flush);
  int (*inflateReset)(ZlibStream* stream);
  int (*inflateEnd)(ZlibStream* stream);
};

struct ZstdInput {
  const void* src;
  std::size_t size;
  std::size_t pos;
};

struct ZstdOutput {
  void* dst;
  std::size_t size;
  std::size_t pos;
};

struct Zstd {
  /** ZSTD_d_windowLogMax. */
  static constexpr int window_log_max_parameter = 100;

  void* (*ZSTD_createDCtx)();
  std::size_t (*ZSTD_freeDCtx)(void* context);
  std::size_t (*ZSTD_DCtx_setParameter)(void* context, int parameter, int value);
  std::size_t (*ZSTD_decompressStream)(void* context, ZstdOutput* output, ZstdInput* input);
  unsigned (*ZSTD_isError)(std::size_t code);
};

/** A library, or the complaint that it is missing. */
template <class Functions>
struct Found {
  Functions functions{};
  std::string complaint;
};

const Found<Zlib>& zlib();
const Found<Zstd>& zstd();

}  // namespace parentfs::unpack
