/** Functions of libraries that the process has loaded. */
#pragma once

#include <dlfcn.h>

namespace parentfs::syscalls {

/** Find a function by its name. @returns false when no library has it; `function` is null then */
template <class Function>
bool find_loaded(Function& function, const char* name) {
  function = reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, name));
  return function != nullptr;
}

}  // namespace parentfs::syscalls
