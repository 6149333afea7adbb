/** The functions of src/native/stream-decoder.ts. */
#include "bridge/stream-decoder.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "bridge/arguments.h"
#include "unpack/stream-decoder.h"

namespace parentfs::bridge {

namespace {

/** A decoder, which one step at a time may use. */
struct Decoding {
  std::unique_ptr<unpack::StreamDecoder> decoder;
  bool is_busy = false;
};

unpack::FileFormat format_of(const Napi::Value& value) {
  constexpr std::array names{"gzip", "xz", "zstd"};
  const auto* found = std::ranges::find(names, text(value, "format"));
  if (found == names.end()) throw Napi::RangeError::New(value.Env(), "format must be gzip, xz or zstd");
  return static_cast<unpack::FileFormat>(found - names.begin());
}

/** Both buffers are referenced until it is over. */
class StepWork final : public Napi::AsyncWorker {
 public:
  StepWork(const Napi::CallbackInfo& info, std::shared_ptr<Decoding> decoding)
      : AsyncWorker(info.Env()),
        deferred_(Napi::Promise::Deferred::New(info.Env())),
        decoding_(std::move(decoding)),
        input_(bytes(info[0], "input")),
        is_last_(flag(info[1], "isLast")),
        output_(bytes(info[2], "output")) {
    if (decoding_->is_busy || !decoding_->decoder) throw Napi::Error::New(info.Env(), "the decoder is busy or has ended");
    kept_input_ = Napi::Persistent(info[0].As<Napi::Object>());
    kept_output_ = Napi::Persistent(info[2].As<Napi::Object>());
    decoding_->is_busy = true;
  }

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override { step_ = decoding_->decoder->decode(input_, is_last_, output_); }
  void OnOK() override {
    decoding_->is_busy = false;
    const Napi::Env env = Env();
    auto step = Napi::Object::New(env);
    step.Set("taken", Napi::Number::New(env, static_cast<double>(step_.taken)));
    step.Set("given", Napi::Number::New(env, static_cast<double>(step_.given)));
    step.Set("isOver", Napi::Boolean::New(env, step_.is_over));
    step.Set("isBad", Napi::Boolean::New(env, step_.is_bad));
    if (step_.is_bad) decoding_->decoder.reset();
    deferred_.Resolve(step);
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  std::shared_ptr<Decoding> decoding_;
  Napi::ObjectReference kept_input_;
  Napi::ObjectReference kept_output_;
  std::span<const std::byte> input_;
  bool is_last_;
  std::span<std::byte> output_;
  unpack::Step step_;
};

}  // namespace

Napi::Value stream_decoder_complaint(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), unpack::complaint(format_of(info[0])));
}

Napi::Value create_stream_decoder(const Napi::CallbackInfo& info) {
  const auto format = format_of(info[0]);
  if (const std::string missing = unpack::complaint(format); !missing.empty()) {
    throw Napi::Error::New(info.Env(), missing);
  }
  auto decoding = std::make_shared<Decoding>();
  decoding->decoder = unpack::create_stream_decoder(format);
  const auto decode = [decoding](const Napi::CallbackInfo& info) -> Napi::Value {
    // Deletes itself when it is over.
    auto* work = new StepWork(info, decoding);
    work->Queue();
    return work->promise();
  };
  const auto end = [decoding](const Napi::CallbackInfo&) {
    if (!decoding->is_busy) decoding->decoder.reset();
  };
  auto made = Napi::Object::New(info.Env());
  made.Set("decode", Napi::Function::New(info.Env(), decode, "decode"));
  made.Set("end", Napi::Function::New(info.Env(), end, "end"));
  return made;
}

}  // namespace parentfs::bridge
