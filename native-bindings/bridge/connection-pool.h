/**
 * ConnectionPool as JavaScript sees it, see src/native/connection-pool.ts: made by a RangeReceiver, whose connections it
 * takes over.
 */
#pragma once

#include <napi.h>

#include <memory>

#include "http/connection-pool.h"

namespace parentfs::bridge {

class ConnectionPool : public Napi::ObjectWrap<ConnectionPool> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit ConnectionPool(const Napi::CallbackInfo& info);

 private:
  void add(const Napi::CallbackInfo& info);
  Napi::Value reader(const Napi::CallbackInfo& info);
  Napi::Value is_over(const Napi::CallbackInfo& info);
  Napi::Value news(const Napi::CallbackInfo& info);
  Napi::Value size(const Napi::CallbackInfo& info);
  void expire(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  const std::shared_ptr<http::ConnectionPool> pool_;
};

}  // namespace parentfs::bridge
