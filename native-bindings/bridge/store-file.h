/**
 * StoreFile as JavaScript sees it; see src/native/addon.ts.
 */
#pragma once

#include <napi.h>

#include <memory>

#include "bridge/engine-state.h"
#include "store/data-file.h"

namespace parentfs::bridge {

/** What a StoreFile is made from. */
struct OpenedFile {
  std::shared_ptr<EngineState> engine;
  std::shared_ptr<store::DataFile> file;
};

class StoreFile : public Napi::ObjectWrap<StoreFile> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit StoreFile(const Napi::CallbackInfo& info);

  /** The data file of a StoreFile object. @throws TypeError for any other value, EBADF when it is closed */
  static std::shared_ptr<store::DataFile> file_of(const Napi::Value& value);

 private:
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value land(const Napi::CallbackInfo& info);
  Napi::Value verify(const Napi::CallbackInfo& info);
  Napi::Value punch(const Napi::CallbackInfo& info);
  Napi::Value drop_pages(const Napi::CallbackInfo& info);
  Napi::Value sync(const Napi::CallbackInfo& info);
  Napi::Value seek_data(const Napi::CallbackInfo& info);
  Napi::Value usage(const Napi::CallbackInfo& info);
  Napi::Value is_open_elsewhere(const Napi::CallbackInfo& info);
  void ask_from(const Napi::CallbackInfo& info);
  Napi::Value hits(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  /** Run a task, or reject with EBADF when the file is closed. */
  Napi::Value perform(Napi::Env env, store::Lane lane, Napi::Value keep, Task task);

  std::shared_ptr<EngineState> engine_;
  /** Null after `close`. */
  std::shared_ptr<store::DataFile> file_;
};

}  // namespace parentfs::bridge
