/** OriginGrant as JavaScript sees it; see src/native/origin-reader.ts. */
#pragma once

#include <napi.h>

#include <memory>

#include "image/grant.h"

namespace parentfs::bridge {

class OriginGrant : public Napi::ObjectWrap<OriginGrant> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit OriginGrant(const Napi::CallbackInfo& info);

 private:
  Napi::Value limit(const Napi::CallbackInfo& info);
  Napi::Value refill(const Napi::CallbackInfo& info);
  Napi::Value reader(const Napi::CallbackInfo& info);

  const std::shared_ptr<image::Grant> grant_;
};

}  // namespace parentfs::bridge
