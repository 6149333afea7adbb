/**
 * Engine as JavaScript sees it; see src/native/addon.ts.
 */
#pragma once

#include <napi.h>

#include <memory>

#include "bridge/store-operations.h"

namespace parentfs::bridge {

class Engine : public Napi::ObjectWrap<Engine> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Engine(const Napi::CallbackInfo& info);

 private:
  Napi::Value open_file(const Napi::CallbackInfo& info);
  Napi::Value keep_in_memory(const Napi::CallbackInfo& info);
  Napi::Value reserve_after_end(const Napi::CallbackInfo& info);
  Napi::Value reading_ms(const Napi::CallbackInfo& info);
  void on_fetches(const Napi::CallbackInfo& info);
  Napi::Value take_fetches(const Napi::CallbackInfo& info);
  void release_fetch(const Napi::CallbackInfo& info);
  void free_fetch(const Napi::CallbackInfo& info);
  Napi::Value abandon_fetches(const Napi::CallbackInfo& info);
  Napi::Value start_session(const Napi::CallbackInfo& info);
  Napi::Value create_serving_front(const Napi::CallbackInfo& info);
  void set_tick(const Napi::CallbackInfo& info);
  void set_sampling(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<StoreOperations> state_;
};

}  // namespace parentfs::bridge
