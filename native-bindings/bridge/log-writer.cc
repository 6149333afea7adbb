/** The methods of LogWriter, in the order of src/native/log-writer.ts. */
#include "bridge/log-writer.h"

#include <chrono>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/errors.h"

namespace parentfs::bridge {

namespace {

/**
 * The pause before the line for lost lines is tried again: a log that works again does not tell while there is nothing
 * to log.
 */
constexpr std::chrono::seconds retry_pause{1};

void replace(std::string& text, std::string_view what, const std::string& by) {
  if (const auto at = text.find(what); at != std::string::npos) text.replace(at, what.size(), by);
}

/** As Date.now() has it. */
std::int64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

}  // namespace

Napi::Function LogWriter::define(Napi::Env env) {
  return DefineClass(env, "LogWriter",
                     {InstanceMethod("write", &LogWriter::write), InstanceMethod("flush", &LogWriter::flush),
                      InstanceMethod("lost", &LogWriter::lost)});
}

LogWriter::LogWriter(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  auto& made = made_by_us<NewLogWriter>(info);
  auto notice = [text = std::move(made.notice)](std::uint64_t lost) {
    std::string line = text;
    replace(line, "{time}", std::to_string(now_ms()));
    replace(line, "{lost}", std::to_string(lost));
    return line;
  };
  try {
    writer_ = std::make_unique<log::Writer>(std::move(made.fd), log::WriterOptions{
                                                                    .queued_bytes_max = made.queued_bytes_max,
                                                                    .retry_pause = retry_pause,
                                                                    .notice = std::move(notice),
                                                                });
  } catch (const std::system_error& error) {
    throw_on_error(info.Env(), error.code().value(), "pthread_create");
  }
}

Napi::Value LogWriter::write(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), writer_->write(text(info[0], "line")));
}

Napi::Value LogWriter::flush(const Napi::CallbackInfo& info) {
  const std::chrono::milliseconds wait(small_number(info[0], "ms", std::numeric_limits<std::int32_t>::max()));
  return Napi::Boolean::New(info.Env(), writer_->flush(wait));
}

Napi::Value LogWriter::lost(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(writer_->lost()));
}

}  // namespace parentfs::bridge
