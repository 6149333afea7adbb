/**
 * Functions of zlib, libzstd and liblzma as we call them, found when something is unpacked for the first time. zlib is
 * Node.js's own; libzstd is Node.js's own where it has one (22.15), else `libzstd.so.1`; liblzma is `liblzma.so.5`.
 *
 * Source: zlib.h of zlib 1.3 (the layout of z_stream is that of every 1.x, and inflateInit2_ refuses another size);
 * zstd.h of Zstandard 1.4 and later, its stable part; lzma/base.h and lzma/container.h of XZ Utils 5.2 and later.
 */
#pragma once

#include <cstddef>
#include <cstdint>
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
  static constexpr int buf_error = -5;
  static constexpr int no_flush = 0;
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

/** lzma_stream: zeros are LZMA_STREAM_INIT. */
struct LzmaStream {
  const void* next_in;
  std::size_t avail_in;
  std::uint64_t total_in;
  void* next_out;
  std::size_t avail_out;
  std::uint64_t total_out;
  const void* allocator;
  void* internal;
  void* reserved_pointers[4];
  std::uint64_t reserved_integers[2];
  std::size_t reserved_sizes[2];
  int reserved_enums[2];
};

struct Lzma {
  static constexpr int ok = 0;
  static constexpr int stream_end = 1;
  static constexpr int buf_error = 10;
  static constexpr int run = 0;
  static constexpr int finish = 3;
  static constexpr std::uint32_t concatenated = 8;

  int (*lzma_stream_decoder)(LzmaStream* stream, std::uint64_t memory_bytes_max, std::uint32_t flags);
  int (*lzma_code)(LzmaStream* stream, int action);
  void (*lzma_end)(LzmaStream* stream);
};

/** A library, or the complaint that it is missing. */
template <class Functions>
struct Found {
  Functions functions{};
  std::string complaint;
};

const Found<Zlib>& zlib();
const Found<Zstd>& zstd();
const Found<Lzma>& lzma();

}  // namespace parentfs::unpack
