/**
 * Receiver as JavaScript sees it; see src/native/addon.ts.
 *
 * It keeps no process alive: who waits for an answer has a timer.
 */
#pragma once

#include <napi.h>

#include <map>
#include <memory>

#include "receive/receiver.h"

namespace parentfs::bridge {

/** What a Receiver is made from: nothing. */
struct NewReceiver {};

class Receiver : public Napi::ObjectWrap<Receiver> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Receiver(const Napi::CallbackInfo& info);
  ~Receiver() override { end(); }

 private:
  /** A connection's listener, and the memory that it receives into: JavaScript's. */
  struct Held {
    Napi::FunctionReference on_event;
    Napi::Reference<Napi::Uint8Array> target;
  };

  static void called(Napi::Env env, Napi::Function unused, Receiver* self, void* data);
  using Wake = Napi::TypedThreadSafeFunction<Receiver, void, &Receiver::called>;

  Napi::Value adopt(const Napi::CallbackInfo& info);
  void ask(const Napi::CallbackInfo& info);
  void drop(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  void deliver(Napi::Env env);
  void end();
  static void tear_down(void* self);

  napi_env env_;
  Wake wake_;
  // INVARIANT: false only while there is a receiver_.
  bool ended_ = true;
  std::map<std::uint32_t, Held> held_;
  std::unique_ptr<receive::Receiver> receiver_;
};

}  // namespace parentfs::bridge
