/** ioctls on /dev/fuse, declared here: headers of a build machine may be older than its kernel. */
#include "syscalls/backing.h"

#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>

#include "owned-fd.h"

namespace parentfs::syscalls {

namespace {

/** struct fuse_backing_map */
struct BackingMap {
  std::int32_t fd;
  std::uint32_t flags;
  std::uint64_t padding;
};

/** FUSE_DEV_IOC_BACKING_OPEN and FUSE_DEV_IOC_BACKING_CLOSE. */
constexpr unsigned long backing_open = _IOW(229, 1, BackingMap);
constexpr unsigned long backing_close = _IOW(229, 2, std::uint32_t);

}  // namespace

Result<std::int32_t> open_backing(int fuse_fd, int fd) {
  BackingMap map{.fd = fd, .flags = 0, .padding = 0};
  const int id = ::ioctl(fuse_fd, backing_open, &map);
  if (id < 0) return Failure{errno};
  return std::int32_t{id};
}

int close_backing(int fuse_fd, std::int32_t id) {
  auto closed = static_cast<std::uint32_t>(id);
  return ::ioctl(fuse_fd, backing_close, &closed) < 0 ? errno : 0;
}

int close_backings(int fuse_fd) {
  // Ids are given in ascending order, so that a new one is larger than all there are. Source: Linux fs/fuse/backing.c,
  // fuse_backing_id_alloc (idr_alloc_cyclic).
  const OwnedFd file(::memfd_create("parentfs", MFD_CLOEXEC));
  if (file.get() < 0) return errno;
  const auto latest = open_backing(fuse_fd, file.get());
  if (!latest.ok()) return latest.error();
  for (std::int32_t id = 1; id <= latest.value(); id++) (void)close_backing(fuse_fd, id);
  return 0;
}

}  // namespace parentfs::syscalls
