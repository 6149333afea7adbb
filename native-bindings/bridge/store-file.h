/**
 * StoreFile as JavaScript sees it; see src/native/addon.ts.
 */
#pragma once

#include <napi.h>

#include <map>
#include <memory>

#include "bridge/store-operations.h"
#include "image/data-file.h"

namespace parentfs::bridge {

/** Parameters of a StoreFile. */
struct OpenedFile {
  std::shared_ptr<StoreOperations> engine;
  std::shared_ptr<image::DataFile> file;
};

class StoreFile : public Napi::ObjectWrap<StoreFile> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit StoreFile(const Napi::CallbackInfo& info);
  ~StoreFile() override { clear_shelf(); }

  /** The data file of a StoreFile object. @throws TypeError for any other value, EBADF when it is closed */
  static std::shared_ptr<image::DataFile> file_of(const Napi::Value& value);

 private:
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value write_blocks(const Napi::CallbackInfo& info);
  Napi::Value verify(const Napi::CallbackInfo& info);
  Napi::Value punch(const Napi::CallbackInfo& info);
  Napi::Value drop_pages(const Napi::CallbackInfo& info);
  Napi::Value sync(const Napi::CallbackInfo& info);
  Napi::Value seek_data(const Napi::CallbackInfo& info);
  Napi::Value usage(const Napi::CallbackInfo& info);
  Napi::Value is_open_elsewhere(const Napi::CallbackInfo& info);
  Napi::Value insert_buffered(const Napi::CallbackInfo& info);
  void release_bytes(const Napi::CallbackInfo& info);
  void remove_buffered(const Napi::CallbackInfo& info);
  void set_fetch_origin(const Napi::CallbackInfo& info);
  Napi::Value join_fetches(const Napi::CallbackInfo& info);
  Napi::Value coming_blocks(const Napi::CallbackInfo& info);
  Napi::Value hits(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  /** Run a task, or reject with EBADF when the file is closed. */
  Napi::Value perform(Napi::Env env, disk::Lane lane, Napi::Value keep, Task task);

  /** Empties the read-ahead buffer; none of it is being read. */
  void clear_shelf();

  std::shared_ptr<StoreOperations> engine_;
  /** The ranges in the read-ahead buffer, by offset: memory of JavaScript that session threads may read. */
  std::map<std::uint64_t, Napi::Reference<Napi::Uint8Array>> shelved_;
  /** Null after `close`. */
  std::shared_ptr<image::DataFile> file_;
};

}  // namespace parentfs::bridge
