/**
 * Errnos on their way to JavaScript: errors with the fields of Node's own (`code`, `errno`, `syscall`).
 */
#pragma once

#include <napi.h>

namespace parentfs::bridge {

/**
 * @param error a positive errno
 * @param name the errno's name, where it has two; null: the one that the C library knows
 */
Napi::Error system_error(Napi::Env env, int error, const char* syscall, const char* name = nullptr);
/** Throws unless `error` is 0. */
void throw_on_error(Napi::Env env, int error, const char* syscall);

}  // namespace parentfs::bridge
