/**
 * System calls on the calling process.
 */
#pragma once

namespace parentfs::syscalls {

/**
 * From now on the process leaves no core, wherever cores go, and nobody without CAP_SYS_PTRACE looks into its memory or its
 * environment; what it executes starts anew. @returns 0 or an errno
 */
int forbid_dumps();

}  // namespace parentfs::syscalls
