/** Descriptors that the threads of this room wait on. */
#pragma once

#include <cerrno>
#include <system_error>

#include "owned-fd.h"

namespace parentfs::librbd {

/** Events of one wait. */
inline constexpr int events_max = 64;

/** The descriptor that a system call gave. @throws std::system_error when it gave none */
inline OwnedFd checked(int fd, const char* call) {
  if (fd < 0) throw std::system_error(errno, std::system_category(), call);
  return OwnedFd(fd);
}

}  // namespace parentfs::librbd
