/**
 * LogWriter as JavaScript sees it; see src/native/log-writer.ts.
 */
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>
#include <string>

#include "log/writer.h"
#include "owned-fd.h"

namespace parentfs::bridge {

/** Parameters of a LogWriter. */
struct NewLogWriter {
  OwnedFd fd;
  std::string notice;
  std::size_t queued_bytes_max;
};

class LogWriter : public Napi::ObjectWrap<LogWriter> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit LogWriter(const Napi::CallbackInfo& info);

 private:
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value flush(const Napi::CallbackInfo& info);
  Napi::Value lost(const Napi::CallbackInfo& info);

  std::unique_ptr<log::Writer> writer_;
};

}  // namespace parentfs::bridge
