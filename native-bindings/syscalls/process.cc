/** System calls on the calling process. */
#include "syscalls/process.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/prctl.h>

#include <cerrno>
#include <csignal>

namespace parentfs::syscalls {

int forbid_dumps() {
  // RLIMIT_CORE would not do: it does not count where cores go to a program. Source: core(5), "Piping core dumps to a program".
  return ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : errno;
}

void release_free_memory() {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
}

void block_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace parentfs::syscalls
