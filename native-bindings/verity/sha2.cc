/** Finding the SHA-2 functions among what the process has loaded. */
#include "verity/sha2.h"

#include <dlfcn.h>

namespace parentfs::verity {

namespace {

template <class Function>
bool find(Function& function, const char* name) {
  function = reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, name));
  return function != nullptr;
}

}  // namespace

const Sha2* sha2() {
  static Sha2 found;
  static const bool is_there = find(found.SHA256_Init, "SHA256_Init") && find(found.SHA256_Update, "SHA256_Update") &&
                               find(found.SHA256_Final, "SHA256_Final") && find(found.SHA512_Init, "SHA512_Init") &&
                               find(found.SHA512_Update, "SHA512_Update") && find(found.SHA512_Final, "SHA512_Final");
  return is_there ? &found : nullptr;
}

}  // namespace parentfs::verity
