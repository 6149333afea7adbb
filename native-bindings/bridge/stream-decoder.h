/** Decoding of packed files for JavaScript, on threads of libuv's pool; see src/native/stream-decoder.ts. */
#pragma once

#include <napi.h>

namespace parentfs::bridge {

Napi::Value stream_decoder_complaint(const Napi::CallbackInfo& info);
Napi::Value create_stream_decoder(const Napi::CallbackInfo& info);

}  // namespace parentfs::bridge
