/**
 * Errnos on their way to JavaScript: errors with the fields of Node's own (`code`, `errno`, `syscall`).
 */
#pragma once

#include <napi.h>

namespace parentfs::bridge {

/**
 * @param error a positive errno
 * @param name the errno's name, where it has two; null: that of errno_name
 */
Napi::Error system_error(Napi::Env env, int error, const char* syscall, const char* name = nullptr);
/** Call a listener; what it throws is an uncaught exception, as from any other event. */
template <class... Arguments>
void call_listener(const Napi::Function& listener, Arguments... arguments) {
  try {
    listener.Call({arguments...});
  } catch (const Napi::Error& error) {
    ::napi_fatal_exception(listener.Env(), error.Value());
  }
}
/** Throws unless `error` is 0. */
void throw_on_error(Napi::Env env, int error, const char* syscall);

}  // namespace parentfs::bridge
