/** Streams of zlib and zstd, each reset for the next cluster instead of made anew. */
#include "unpack/unpack.h"

#include <limits>

#include "unpack/libraries.h"

namespace parentfs::unpack {

namespace {

/**
 * Largest window of a zstd stream, as a power of two: 8 MiB is what the highest usual level asks for, and four times
 * the largest cluster. A stream that asks for more would have it allocated.
 */
constexpr int zstd_window_log_max = 23;

class Inflater final : public Unpacker {
 public:
  /** @param window_bits negative: no header and no sum */
  explicit Inflater(int window_bits) {
    ready_ = zlib().functions.inflateInit2_(&stream_, window_bits, Zlib::version, sizeof stream_) == Zlib::ok;
  }
  ~Inflater() override {
    if (ready_) zlib().functions.inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  bool unpack(std::span<const std::byte> packed, std::span<std::byte> target, std::size_t bytes_min) override {
    constexpr std::size_t bytes_max = std::numeric_limits<unsigned>::max();
    if (!ready_ || packed.size() > bytes_max || target.size() > bytes_max) return false;
    if (zlib().functions.inflateReset(&stream_) != Zlib::ok) return false;
    stream_.next_in = reinterpret_cast<const unsigned char*>(packed.data());
    stream_.avail_in = static_cast<unsigned>(packed.size());
    stream_.next_out = reinterpret_cast<unsigned char*>(target.data());
    stream_.avail_out = static_cast<unsigned>(target.size());
    if (zlib().functions.inflate(&stream_, Zlib::finish) != Zlib::stream_end) return false;
    return target.size() - stream_.avail_out >= bytes_min;
  }

 private:
  ZlibStream stream_{};
  bool ready_;
};

class ZstdUnpacker final : public Unpacker {
 public:
  ZstdUnpacker() : context_(zstd().functions.ZSTD_createDCtx()) {
    if (context_ == nullptr) return;
    ready_ = !fails(zstd().functions.ZSTD_DCtx_setParameter(context_, Zstd::window_log_max_parameter,
                                                           zstd_window_log_max));
  }
  ~ZstdUnpacker() override { zstd().functions.ZSTD_freeDCtx(context_); }
  ZstdUnpacker(const ZstdUnpacker&) = delete;
  ZstdUnpacker& operator=(const ZstdUnpacker&) = delete;

  /** A cluster may be several frames, one after the other. */
  bool unpack(std::span<const std::byte> packed, std::span<std::byte> target, std::size_t bytes_min) override {
    if (!ready_) return false;
    ZstdInput input{packed.data(), packed.size(), 0};
    ZstdOutput output{target.data(), target.size(), 0};
    std::size_t left = 1;
    while (output.pos < output.size) {
      const std::size_t before = input.pos + output.pos;
      left = zstd().functions.ZSTD_decompressStream(context_, &output, &input);
      // A context that failed, or stands within a frame, is not used again: a new one begins at a frame.
      if (fails(left) || input.pos + output.pos == before) return ended(false);
      if (left == 0 && output.pos >= bytes_min) break;
    }
    return ended(left == 0 && output.pos >= bytes_min);
  }

 private:
  static bool fails(std::size_t code) { return zstd().functions.ZSTD_isError(code) != 0; }

  bool ended(bool well) {
    ready_ = well;
    return well;
  }

  void* context_;
  bool ready_ = false;
};

}  // namespace

std::string complaint(Packing packing) {
  return packing == Packing::zstd ? zstd().complaint : zlib().complaint;
}

std::unique_ptr<Unpacker> create_unpacker(Packing packing) {
  switch (packing) {
    case Packing::deflate: return std::make_unique<Inflater>(-Zlib::window_bits);
    case Packing::zlib: return std::make_unique<Inflater>(Zlib::window_bits);
    case Packing::zstd: return std::make_unique<ZstdUnpacker>();
  }
  return nullptr;
}

}  // namespace parentfs::unpack
