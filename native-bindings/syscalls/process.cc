/** System calls on the calling process. */
#include "syscalls/process.h"

#include <malloc.h>
#include <sys/prctl.h>

#include <cerrno>

namespace parentfs::syscalls {

int forbid_dumps() {
  // RLIMIT_CORE would not do: it does not count where cores go to a program. Source: core(5), "Piping core dumps to a program".
  return ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : errno;
}

void release_free_memory() { ::malloc_trim(0); }

}  // namespace parentfs::syscalls
