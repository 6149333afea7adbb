/**
 * Memory of native code that JavaScript sees as an ArrayBuffer, which keeps it until it is collected.
 */
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace parentfs::bridge {

/** @param owner lets go of `bytes` when it goes */
template <class Owner>
Napi::ArrayBuffer shared_buffer(Napi::Env env, std::shared_ptr<Owner> owner, std::span<std::byte> bytes) {
  if (bytes.empty()) return Napi::ArrayBuffer::New(env, 0);
  auto* holder = new std::shared_ptr<Owner>(std::move(owner));
  napi_value made = nullptr;
  const auto release = [](napi_env, void*, void* held) { delete static_cast<std::shared_ptr<Owner>*>(held); };
  // From here on the holder is Node's, which lets go of it even when it makes no buffer; node-addon-api would do so as well then.
  // Source: Node.js 20, src/node_buffer.cc, Buffer::New; node-addon-api 8, napi-inl.h, ArrayBuffer::New.
  if (napi_create_external_arraybuffer(env, bytes.data(), bytes.size(), release, holder, &made) != napi_ok) {
    throw Napi::Error::New(env);
  }
  return {env, made};
}

}  // namespace parentfs::bridge
