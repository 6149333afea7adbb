/**
 * Backing files of a FUSE connection: the files that the kernel reads by itself for opens by passthrough.
 *
 * They belong to the connection, not to the process that opened them. Source: Linux include/uapi/linux/fuse.h (7.40),
 * fs/fuse/backing.c.
 */
#pragma once

#include <cstdint>

#include "result.h"

namespace parentfs::syscalls {

/** Let the kernel read the file behind `fd` for opens that are answered with the id. Needs CAP_SYS_ADMIN. */
Result<std::int32_t> open_backing(int fuse_fd, int fd);
/** No open is answered with this id any more; those that were go on. @returns 0 or an errno */
int close_backing(int fuse_fd, std::int32_t id);
/** Close every id of the connection, its own and others'. @returns 0 or an errno */
int close_backings(int fuse_fd);

}  // namespace parentfs::syscalls
