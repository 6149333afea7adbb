/** The functions of src/native/unpacker.ts. */
#include "bridge/unpack.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bridge/arguments.h"
#include "unpack/unpack.h"

namespace parentfs::bridge {

namespace {

/** As src/native/unpacker.ts writes a stream: five numbers. */
struct Stream {
  std::uint32_t packed_offset;
  std::uint32_t packed_bytes;
  std::uint32_t offset;
  std::uint32_t bytes;
  std::uint32_t bytes_min;
};

unpack::Packing packing_of(const Napi::Value& value) {
  constexpr std::array names{"deflate", "zlib", "zstd"};
  const auto* found = std::ranges::find(names, text(value, "packing"));
  if (found == names.end()) throw Napi::RangeError::New(value.Env(), "packing must be deflate, zlib or zstd");
  return static_cast<unpack::Packing>(found - names.begin());
}

bool is_within(std::uint32_t offset, std::uint32_t bytes, std::size_t whole) {
  return offset <= whole && bytes <= whole - offset;
}

std::vector<Stream> streams_of(const Napi::Value& value, std::size_t packed_bytes, std::size_t target_bytes) {
  constexpr std::size_t numbers = sizeof(Stream) / sizeof(std::uint32_t);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array ||
      value.As<Napi::Uint32Array>().ElementLength() % numbers != 0) {
    throw Napi::TypeError::New(value.Env(), "streams must be a Uint32Array of five numbers each");
  }
  auto given = value.As<Napi::Uint32Array>();
  std::vector<Stream> streams(given.ElementLength() / numbers);
  std::copy_n(given.Data(), given.ElementLength(), reinterpret_cast<std::uint32_t*>(streams.data()));
  for (const Stream& stream : streams) {
    if (!is_within(stream.packed_offset, stream.packed_bytes, packed_bytes) ||
        !is_within(stream.offset, stream.bytes, target_bytes) || stream.bytes_min > stream.bytes) {
      throw Napi::RangeError::New(value.Env(), "a stream must lie within its buffers");
    }
  }
  return streams;
}

/** Both buffers are referenced until it is over. */
class UnpackWork final : public Napi::AsyncWorker {
 public:
  explicit UnpackWork(const Napi::CallbackInfo& info)
      : AsyncWorker(info.Env()),
        deferred_(Napi::Promise::Deferred::New(info.Env())),
        packing_(packing_of(info[0])),
        packed_(bytes(info[1], "packed")),
        target_(bytes(info[3], "target")),
        streams_(streams_of(info[2], packed_.size(), target_.size())) {
    kept_packed_ = Napi::Persistent(info[1].As<Napi::Object>());
    kept_target_ = Napi::Persistent(info[3].As<Napi::Object>());
  }

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    for (std::size_t k = 0; k < streams_.size() && bad_ < 0; k++) {
      const Stream& stream = streams_[k];
      if (!unpacker_) unpacker_ = unpack::create_unpacker(packing_);
      const bool is_whole = unpacker_->unpack(packed_.subspan(stream.packed_offset, stream.packed_bytes),
                                              target_.subspan(stream.offset, stream.bytes), stream.bytes_min);
      if (!is_whole) bad_ = static_cast<std::int32_t>(k);
    }
    unpacker_.reset();
  }
  void OnOK() override { deferred_.Resolve(Napi::Number::New(Env(), bad_)); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference kept_packed_;
  Napi::ObjectReference kept_target_;
  unpack::Packing packing_;
  std::span<const std::byte> packed_;
  std::span<std::byte> target_;
  std::vector<Stream> streams_;
  std::unique_ptr<unpack::Unpacker> unpacker_;
  std::int32_t bad_ = -1;
};

}  // namespace

Napi::Value unpack_complaint(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), unpack::complaint(packing_of(info[0])));
}

Napi::Value unpack(const Napi::CallbackInfo& info) {
  const std::string missing = unpack::complaint(packing_of(info[0]));
  if (!missing.empty()) throw Napi::Error::New(info.Env(), missing);
  // Deletes itself when it is over.
  auto* work = new UnpackWork(info);
  work->Queue();
  return work->promise();
}

}  // namespace parentfs::bridge
