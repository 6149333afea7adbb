/**
 * RangeReceiver as JavaScript sees it; see src/native/addon.ts.
 *
 * It keeps no process alive: a waiter for an answer has a timer.
 */
#pragma once

#include <napi.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "http/range-receiver.h"
#include "http/tls.h"

namespace parentfs::bridge {

/** Parameters of a RangeReceiver: none. */
struct NewRangeReceiver {};

class RangeReceiver : public Napi::ObjectWrap<RangeReceiver> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit RangeReceiver(const Napi::CallbackInfo& info);
  ~RangeReceiver() override { end(); }

 private:
  /** A connection's listener, and the memory that it receives into: JavaScript's. */
  struct Held {
    Napi::FunctionReference on_event;
    Napi::Reference<Napi::Uint8Array> target;
  };

  static void called(Napi::Env env, Napi::Function unused, RangeReceiver* self, void* data);
  using Wake = Napi::TypedThreadSafeFunction<RangeReceiver, void, &RangeReceiver::called>;

  Napi::Value trust(const Napi::CallbackInfo& info);
  Napi::Value adopt(const Napi::CallbackInfo& info);
  Napi::Value adopt_tls(const Napi::CallbackInfo& info);
  void ask(const Napi::CallbackInfo& info);
  void drop(const Napi::CallbackInfo& info);
  void forget(const Napi::CallbackInfo& info);
  Napi::Value create_pool(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  /** Take the socket behind the descriptor `info[0]`, for the listener `info[listener]`. */
  Napi::Value take(const Napi::CallbackInfo& info, std::size_t listener,
                   const std::function<Result<std::uint32_t>(OwnedFd socket)>& adopt);
  void deliver(Napi::Env env);
  void end();
  static void tear_down(void* self);

  napi_env env_;
  Wake wake_;
  // INVARIANT: false only while there is a receiver_.
  bool ended_ = true;
  std::map<std::uint32_t, Held> held_;
  /** The trusts of TLS connections, by the text that each was made from. A number is a place here, from 1 on. */
  std::vector<std::pair<std::string, std::shared_ptr<http::TlsContext>>> trusts_;
  /** Shared with pools. Closed when this ends. */
  std::shared_ptr<http::RangeReceiver> receiver_;
};

}  // namespace parentfs::bridge
