/**
 * Errnos on their way to JavaScript: errors with the fields of Node's own (`code`, `errno`, `syscall`).
 */
#pragma once

#include <napi.h>

namespace parentfs::bridge {

/** @param error a positive errno */
Napi::Error system_error(Napi::Env env, int error, const char* syscall);
/** Throws unless `error` is 0. */
void throw_on_error(Napi::Env env, int error, const char* syscall);

}  // namespace parentfs::bridge
