/**
 * Decoders of whole packed files, fed piece by piece: gzip by zlib, xz by liblzma, Zstandard by libzstd. A file may be
 * several streams, one after the other.
 */
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace parentfs::unpack {

enum class FileFormat { gzip, xz, zstd };

/** The outcome of one step. */
struct Step {
  /** Bytes of the input that are not needed any more, and bytes that were put out. */
  std::size_t taken = 0;
  std::size_t given = 0;
  /** All that was taken makes whole streams. */
  bool is_over = false;
  /** The file is damaged, or asks for too much memory: nothing more can be had from it. */
  bool is_bad = false;
};

class StreamDecoder {
 public:
  virtual ~StreamDecoder() = default;
  /** @param is_last no input comes after this one */
  virtual Step decode(std::span<const std::byte> input, bool is_last, std::span<std::byte> output) = 0;
};

/** The library that is missing, in words; empty where there is none. */
std::string complaint(FileFormat format);
/** Null where there is no memory for it. */
std::unique_ptr<StreamDecoder> create_stream_decoder(FileFormat format);

}  // namespace parentfs::unpack
