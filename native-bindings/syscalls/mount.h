/**
 * System calls around /dev/fuse: open it, mount it, unmount.
 */
#pragma once

#include <string>

#include "owned-fd.h"
#include "result.h"

namespace parentfs::syscalls {

/** Open /dev/fuse. */
Result<OwnedFd> open_fuse();
/** mount(2), read-only, nosuid, nodev. `options` as the kernel reads them, without `fd=`. @returns 0 or an errno. */
int mount_fuse(int fd, const std::string& source, const std::string& mountpoint, const std::string& options);
/** umount2(2). `force` aborts the connection and, where the mount is still busy, detaches it. @returns 0 or an errno.
 */
int unmount(const std::string& mountpoint, bool force);

}  // namespace parentfs::syscalls
