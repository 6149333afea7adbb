/**
 * FileReaders as JavaScript sees it; see src/native/file-readers.ts.
 */
#pragma once

#include <napi.h>

#include <memory>

#include "image/file-reader.h"

namespace parentfs::bridge {

class FileReaders : public Napi::ObjectWrap<FileReaders> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit FileReaders(const Napi::CallbackInfo& info);

 private:
  Napi::Value open(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::shared_ptr<image::FileThreads> threads_;
};

}  // namespace parentfs::bridge
