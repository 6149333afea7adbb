/**
 * Corrections for GCC's C++ headers, which are made for glibc, so that they compile with musl's. Included before all else by `make check-musl`.
 *
 * Source: GCC 12 libstdc++-v3, config/os/gnu-linux/{os_defines,ctype_base}.h, config/locale/gnu/c++locale.h, bits/std_mutex.h.
 */
#pragma once

#include <locale.h>

#define __locale_t locale_t
#define __GLIBC_PREREQ(major, minor) 0

enum {
  _ISupper = 1 << 0,
  _ISlower = 1 << 1,
  _ISalpha = 1 << 2,
  _ISdigit = 1 << 3,
  _ISxdigit = 1 << 4,
  _ISspace = 1 << 5,
  _ISprint = 1 << 6,
  _ISgraph = 1 << 7,
  _ISblank = 1 << 8,
  _IScntrl = 1 << 9,
  _ISpunct = 1 << 10,
  _ISalnum = 1 << 11,
};

// Set when GCC was built with glibc, whose pthread_cond_clockwait and pthread_mutex_clocklock musl has not.
#include <bits/c++config.h>
#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK
#undef _GLIBCXX_USE_PTHREAD_RWLOCK_CLOCKLOCK
