/** Unpacking for JavaScript, on threads of libuv's pool. */
#pragma once

#include <napi.h>

namespace parentfs::bridge {

Napi::Value unpack_complaint(const Napi::CallbackInfo& info);
Napi::Value unpack(const Napi::CallbackInfo& info);

}  // namespace parentfs::bridge
