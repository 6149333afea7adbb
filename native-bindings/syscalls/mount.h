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
/**
 * Does the file system behind this descriptor of /dev/fuse live? Not once it is unmounted everywhere, or was aborted.
 * Source: Linux fs/fuse/dev.c, fuse_dev_poll: EPOLLERR when there is no connection any more.
 */
bool is_fuse_connected(int fd);
/** umount2(2). `force` aborts the connection and, where the mount is still busy, detaches it. @returns 0 or an errno.
 */
int unmount(const std::string& mountpoint, bool force);

}  // namespace parentfs::syscalls
