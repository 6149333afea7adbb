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

/**
 * Give memory back to the kernel that the allocator has free between what it has lent: it keeps that for ever otherwise, unless it lies at the
 * end. Takes some milliseconds for a hundred MiB. Source: malloc_trim(3). Nothing with another C library than
 * glibc.
 */
void release_free_memory();

/** The calling thread takes no signals, nor do those that it starts: they are the main thread's business. */
void block_signals();

}  // namespace parentfs::syscalls
