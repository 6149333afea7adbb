/** UnitPermits as JavaScript sees it; see src/native/unit-permits.ts. */
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "image/unit-permits.h"

namespace parentfs::bridge {

class UnitPermits : public Napi::ObjectWrap<UnitPermits> {
 public:
  /** Units of one image: 8 MiB of bits, 64 TiB in units of 1 MiB. */
  static constexpr std::uint64_t units_max = std::uint64_t{1} << 26;

  static Napi::Function define(Napi::Env env);
  explicit UnitPermits(const Napi::CallbackInfo& info);

 private:
  void replace(const Napi::CallbackInfo& info);
  void permit(const Napi::CallbackInfo& info);
  Napi::Value guard(const Napi::CallbackInfo& info);

  const std::shared_ptr<image::UnitPermits> permits_;
};

}  // namespace parentfs::bridge
