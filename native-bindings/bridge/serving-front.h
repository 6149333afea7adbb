/**
 * ServingFront as JavaScript sees it; see src/native/serving-front.ts.
 */
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bridge/store-operations.h"
#include "http/tls-server.h"
#include "serving/front.h"
#include "serving/permit.h"

namespace parentfs::bridge {

/** Parameters of a ServingFront. */
struct NewServingFront {
  std::shared_ptr<StoreOperations> engine;
  serving::FrontLimits limits;
  Napi::Function on_event;
};

class ServingFront : public Napi::ObjectWrap<ServingFront> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit ServingFront(const Napi::CallbackInfo& info);
  ~ServingFront() override { end(); }

 private:
  static void called(Napi::Env env, Napi::Function unused, ServingFront* self, void* data);
  using Wake = Napi::TypedThreadSafeFunction<ServingFront, void, &ServingFront::called>;

  Napi::Value identity(const Napi::CallbackInfo& info);
  Napi::Value adopt(const Napi::CallbackInfo& info);
  void send(const Napi::CallbackInfo& info);
  void resume(const Napi::CallbackInfo& info);
  void drop(const Napi::CallbackInfo& info);
  void drop_idle(const Napi::CallbackInfo& info);
  Napi::Value sent_bytes(const Napi::CallbackInfo& info);
  void permit(const Napi::CallbackInfo& info);
  void offer(const Napi::CallbackInfo& info);
  Napi::Value revoke(const Napi::CallbackInfo& info);
  void set_rate(const Napi::CallbackInfo& info);
  Napi::Value book(const Napi::CallbackInfo& info);
  Napi::Value behind_ms(const Napi::CallbackInfo& info);
  Napi::Value permitted(const Napi::CallbackInfo& info);
  Napi::Value permitted_to(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  void deliver(Napi::Env env);
  void end();
  static void tear_down(void* self);

  napi_env env_;
  Wake wake_;
  // INVARIANT: false only while there is a front_.
  bool ended_ = true;
  Napi::FunctionReference on_event_;
  std::shared_ptr<StoreOperations> engine_;
  /** The latest identity; earlier ones live as long as their connections. */
  std::shared_ptr<http::TlsServer> identity_;
  /** Shared by its connections, which it outlives. */
  std::shared_ptr<serving::Permits> permits_;
  std::unique_ptr<serving::Front> front_;
};

/** Makes one for `createServingFront(limits, onEvent)` of an engine. */
Napi::Value create_serving_front(const Napi::CallbackInfo& info, std::shared_ptr<StoreOperations> engine);

}  // namespace parentfs::bridge
