/** Errors as Node makes them. */
#include "bridge/errors.h"

#include <string>
#include <system_error>

#include "syscalls/errno-name.h"

namespace parentfs::bridge {

Napi::Error system_error(Napi::Env env, int error, const char* syscall, const char* name) {
  if (name == nullptr) name = syscalls::errno_name(error);
  const std::string code = name != nullptr ? name : "E" + std::to_string(error);
  Napi::Error made = Napi::Error::New(env, code + ": " + std::generic_category().message(error) + ", " + syscall);
  made.Set("code", Napi::String::New(env, code));
  made.Set("errno", Napi::Number::New(env, error));
  made.Set("syscall", Napi::String::New(env, syscall));
  return made;
}

void throw_on_error(Napi::Env env, int error, const char* syscall) {
  if (error != 0) throw system_error(env, error, syscall);
}

}  // namespace parentfs::bridge
