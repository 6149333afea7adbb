/** The three decoders: each is one stream of its library, and knows whether it stands between two. */
#include "unpack/stream-decoder.h"

#include <cstdint>
#include <limits>

#include "unpack/libraries.h"

namespace parentfs::unpack {

namespace {

/** Most memory that an xz stream may ask for: `xz -9` needs 65 MiB to decode. */
constexpr std::uint64_t lzma_bytes_max = 256U << 20U;

class GzipDecoder final : public StreamDecoder {
 public:
  GzipDecoder() {
    // Source: zlib.h, inflateInit2: 16 more for gzip's header and sum.
    ready_ = zlib().functions.inflateInit2_(&stream_, Zlib::window_bits + 16, Zlib::version, sizeof stream_) == Zlib::ok;
  }
  ~GzipDecoder() override {
    if (ready_) zlib().functions.inflateEnd(&stream_);
  }
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;

  Step decode(std::span<const std::byte> input, bool /*is_last*/, std::span<std::byte> output) override {
    constexpr std::size_t bytes_max = std::numeric_limits<unsigned>::max();
    if (!ready_ || input.size() > bytes_max || output.size() > bytes_max) return {.is_bad = true};
    stream_.next_in = reinterpret_cast<const unsigned char*>(input.data());
    stream_.avail_in = static_cast<unsigned>(input.size());
    stream_.next_out = reinterpret_cast<unsigned char*>(output.data());
    stream_.avail_out = static_cast<unsigned>(output.size());
    bool is_bad = false;
    while (!is_bad && stream_.avail_out > 0) {
      // Zeros after the last member are padding, as tapes have it. Source: gzip's manual, "Using gzip on tapes".
      if (is_over_) skip_zeros();
      if (is_over_ && stream_.avail_in == 0) break;
      if (is_over_) is_bad = is_padding_ || zlib().functions.inflateReset(&stream_) != Zlib::ok;
      if (is_bad) break;
      is_over_ = false;
      const int code = zlib().functions.inflate(&stream_, Zlib::no_flush);
      is_over_ = code == Zlib::stream_end;
      if (code == Zlib::buf_error) break;
      is_bad = code != Zlib::ok && !is_over_;
    }
    return {input.size() - stream_.avail_in, output.size() - stream_.avail_out, is_over_, is_bad};
  }

 private:
  void skip_zeros() {
    while (stream_.avail_in > 0 && *stream_.next_in == 0) {
      stream_.next_in++;
      stream_.avail_in--;
      is_padding_ = true;
    }
  }

  ZlibStream stream_{};
  bool ready_;
  bool is_over_ = false;
  bool is_padding_ = false;
};

class XzDecoder final : public StreamDecoder {
 public:
  XzDecoder() {
    ready_ = lzma().functions.lzma_stream_decoder(&stream_, lzma_bytes_max, Lzma::concatenated) == Lzma::ok;
  }
  ~XzDecoder() override { lzma().functions.lzma_end(&stream_); }
  XzDecoder(const XzDecoder&) = delete;
  XzDecoder& operator=(const XzDecoder&) = delete;

  Step decode(std::span<const std::byte> input, bool is_last, std::span<std::byte> output) override {
    if (!ready_ || is_over_) return {.is_over = is_over_, .is_bad = !is_over_ || !input.empty()};
    stream_.next_in = input.data();
    stream_.avail_in = input.size();
    stream_.next_out = output.data();
    stream_.avail_out = output.size();
    const int code = lzma().functions.lzma_code(&stream_, is_last ? Lzma::finish : Lzma::run);
    is_over_ = code == Lzma::stream_end;
    const std::size_t given = output.size() - stream_.avail_out;
    // Without progress: more input is needed, and there is none where this was the last.
    const bool lacks_input = code == Lzma::buf_error;
    return {input.size() - stream_.avail_in, given, is_over_,
            lacks_input ? is_last && stream_.avail_out > 0 : code != Lzma::ok && !is_over_};
  }

 private:
  LzmaStream stream_{};
  bool ready_;
  bool is_over_ = false;
};

class ZstdDecoder final : public StreamDecoder {
 public:
  ZstdDecoder() : context_(zstd().functions.ZSTD_createDCtx()) {}
  ~ZstdDecoder() override { zstd().functions.ZSTD_freeDCtx(context_); }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;

  Step decode(std::span<const std::byte> packed, bool /*is_last*/, std::span<std::byte> target) override {
    if (context_ == nullptr) return {.is_bad = true};
    ZstdInput input{packed.data(), packed.size(), 0};
    ZstdOutput output{target.data(), target.size(), 0};
    // Between two frames a call without input would begin the next one.
    while (output.pos < output.size && !(is_over_ && input.pos == input.size)) {
      const std::size_t before = input.pos + output.pos;
      const std::size_t left = zstd().functions.ZSTD_decompressStream(context_, &output, &input);
      if (zstd().functions.ZSTD_isError(left) != 0) return {input.pos, output.pos, false, true};
      is_over_ = left == 0;
      if (input.pos + output.pos == before) break;
    }
    return {input.pos, output.pos, is_over_, false};
  }

 private:
  void* context_;
  bool is_over_ = false;
};

}  // namespace

std::string complaint(FileFormat format) {
  switch (format) {
    case FileFormat::gzip: return zlib().complaint;
    case FileFormat::xz: return lzma().complaint;
    case FileFormat::zstd: return zstd().complaint;
  }
  return "";
}

std::unique_ptr<StreamDecoder> create_stream_decoder(FileFormat format) {
  switch (format) {
    case FileFormat::gzip: return std::make_unique<GzipDecoder>();
    case FileFormat::xz: return std::make_unique<XzDecoder>();
    case FileFormat::zstd: return std::make_unique<ZstdDecoder>();
  }
  return nullptr;
}

}  // namespace parentfs::unpack
