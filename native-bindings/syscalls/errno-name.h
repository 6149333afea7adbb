/** Names of errnos. Not strerrorname_np: only glibc has it. */
#pragma once

namespace parentfs::syscalls {

/** @returns "ENOENT" for ENOENT; of two names the one that libuv gives; null for a number that Linux has no name for */
const char* errno_name(int error);

}  // namespace parentfs::syscalls
