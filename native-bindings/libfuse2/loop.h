/**
 * The loop of libfuse 2, with a fixed number of threads in place of its own.
 *
 * libfuse ends a thread when more than ten have nothing to do, and starts another at the next request. The package fuse-native
 * keeps a handle in the event loop of each thread that it ever saw, and every wake-up walks all of them: with 64 readers, a
 * read took ten times as long after ten seconds, and would not get better again. Threads that never end leave nothing behind, and
 * bound the requests in flight.
 *
 * Source: libfuse 2.9.9 lib/fuse_loop_mt.c, fuse_do_work; fuse-native 2.2.6 fuse-native.c, get_thread_locals; libuv
 * src/unix/async.c, uv__async_io.
 */
#pragma once

#include <cstdint>
#include <string>

namespace parentfs::libfuse2 {

/**
 * Load the libfuse 2 at `path` for good, such that libraries linked against libfuse.so.2 find it, and find our loop
 * before its own. Call it before that.
 * @returns empty, or the loader's complaint
 */
std::string load(const std::string& path);

/** @returns the number of the loop that began last; 0 before the first */
std::uint32_t latest_loop();
/** Has that loop not returned yet? It does when nothing is mounted any more, or its descriptor failed. */
bool is_running(std::uint32_t loop);

}  // namespace parentfs::libfuse2
