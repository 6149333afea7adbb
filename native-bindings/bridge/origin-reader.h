/**
 * A OriginReader on its way through JavaScript, from the addon that makes it to the one that asks it.
 */
#pragma once

#include <napi.h>

#include <memory>

#include "image/origin-reader.h"

namespace parentfs::bridge {

/** Marks our own sources, so that no other object is ever taken for one. */
inline constexpr napi_type_tag source_tag = {0x5d2b7c9e1f3a4860, 0xb1e6d84a0c3f7592};

inline Napi::Value source_value(Napi::Env env, std::shared_ptr<image::OriginReader> source) {
  auto* held = new std::shared_ptr<image::OriginReader>(std::move(source));
  const auto value = Napi::External<std::shared_ptr<image::OriginReader>>::New(
      env, held, [](Napi::Env, std::shared_ptr<image::OriginReader>* pointer) { delete pointer; });
  value.TypeTag(&source_tag);
  return value;
}

/** Null for null. @throws TypeError for what is no source */
inline std::shared_ptr<image::OriginReader> source_of(const Napi::Value& value) {
  if (value.IsNull()) return nullptr;
  if (!value.IsExternal() || !value.As<Napi::External<std::shared_ptr<image::OriginReader>>>().CheckTypeTag(&source_tag)) {
    throw Napi::TypeError::New(value.Env(), "source must be a NativeSource or null");
  }
  return *value.As<Napi::External<std::shared_ptr<image::OriginReader>>>().Data();
}

}  // namespace parentfs::bridge
