/** System calls around /dev/fuse. */
#include "syscalls/mount.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>

#include <cerrno>

namespace parentfs::syscalls {

Result<OwnedFd> open_fuse() {
  OwnedFd fd(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (fd.get() < 0) return Failure{errno};
  return fd;
}

int mount_fuse(int fd, const std::string& source, const std::string& mountpoint, const std::string& options) {
  const std::string data = "fd=" + std::to_string(fd) + (options.empty() ? "" : "," + options);
  const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV;
  return ::mount(source.c_str(), mountpoint.c_str(), "fuse.parentfs", flags, data.c_str()) == 0 ? 0 : errno;
}

bool is_fuse_connected(int fd) {
  pollfd poll{fd, 0, 0};
  return ::poll(&poll, 1, 0) == 0;
}

int unmount(const std::string& mountpoint, bool force) {
  if (::umount2(mountpoint.c_str(), force ? MNT_FORCE : 0) == 0) return 0;
  if (!force || errno != EBUSY) return errno;
  // MNT_FORCE has aborted the connection; open files keep a detached mount.
  return ::umount2(mountpoint.c_str(), MNT_DETACH) == 0 ? 0 : errno;
}

}  // namespace parentfs::syscalls
