/** Finding the SHA-2 functions among what the process has loaded. */
#include "verity/sha2.h"

#include "syscalls/loaded-function.h"

namespace parentfs::verity {

const Sha2* sha2() {
  static Sha2 found;
  static const bool is_there = syscalls::find_loaded(found.SHA256_Init, "SHA256_Init") && syscalls::find_loaded(found.SHA256_Update, "SHA256_Update") &&
                               syscalls::find_loaded(found.SHA256_Final, "SHA256_Final") && syscalls::find_loaded(found.SHA512_Init, "SHA512_Init") &&
                               syscalls::find_loaded(found.SHA512_Update, "SHA512_Update") && syscalls::find_loaded(found.SHA512_Final, "SHA512_Final");
  return is_there ? &found : nullptr;
}

}  // namespace parentfs::verity
