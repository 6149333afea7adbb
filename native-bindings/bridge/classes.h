/**
 * The classes of the addon, kept for each environment that loads it, and the tags that tell their objects from others.
 */
#pragma once

#include <napi.h>

namespace parentfs::bridge {

/** An environment's constructors: JavaScript cannot call them, because they take an External. */
struct Classes {
  Napi::FunctionReference engine;
  Napi::FunctionReference store_file;
  Napi::FunctionReference session;
  Napi::FunctionReference receiver;
  Napi::FunctionReference connection_pool;
  Napi::FunctionReference serving_front;
  Napi::FunctionReference grant;
  Napi::FunctionReference unit_permits;
  Napi::FunctionReference log_writer;
  Napi::FunctionReference file_readers;
  Napi::FunctionReference tree_proof;
  Napi::FunctionReference librbd_keeper;
  Napi::FunctionReference librbd_responder;
};

/** Marks our own StoreFile objects, so that no other object is ever taken for one. */
inline constexpr napi_type_tag store_file_tag = {0x9f1d3c5b7a2e4860, 0x8c6e4a2f1b3d5e79};

/** The constructor's argument `Made`, handed through an External. @throws TypeError when JavaScript called `new` */
template <class Made>
Made& made_by_us(const Napi::CallbackInfo& info) {
  if (info.Length() != 1 || !info[0].IsExternal()) throw Napi::TypeError::New(info.Env(), "Illegal constructor");
  return *info[0].As<Napi::External<Made>>().Data();
}

}  // namespace parentfs::bridge
