/**
 * System calls on files: data files, holes, and the lock of a cache directory.
 */
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "owned-fd.h"
#include "result.h"

namespace parentfs::syscalls {

/** Size and allocation of a file by fstat, in bytes. */
struct Usage {
  std::uint64_t size_bytes;
  /** st_blocks * 512. */
  std::uint64_t allocated_bytes;
};

/** A stretch of data or of hole, and the first byte after it. */
struct Extent {
  bool hole;
  std::uint64_t end;
};

/**
 * Open a regular file that has no other name. Never waits and never follows a link: ELOOP for one, EMLINK for a file with several
 * names, EINVAL (ENXIO, EISDIR) for what is no file. `flags` as of open(2); what it makes has mode 0600.
 */
Result<OwnedFd> open_plain(const std::string& path, int flags);
/** Open or create a regular file that is exactly `size_bytes` long. EFBIG when it is longer, and see open_plain. */
Result<OwnedFd> open_exact(const std::string& path, std::uint64_t size_bytes);
/** The same file once more, past the page cache (O_DIRECT). EINVAL where its file system cannot. @param access O_RDONLY or O_WRONLY */
Result<OwnedFd> open_uncached(int fd, int access);
/** @returns 0 or an errno. `length` may reach past the end; the size stays. */
int punch_hole(int fd, std::uint64_t offset, std::uint64_t length);
/**
 * Share a range of another file (FICLONERANGE). Both lie at blocks of the file system. @returns 0 or an errno; EOPNOTSUPP, EXDEV or
 * ENOTTY where the file system cannot
 */
int clone_range(int from, std::uint64_t from_offset, int fd, std::uint64_t offset, std::uint64_t length);
/**
 * See to it that the file at `path` can be written, and grow by `bytes` (where there is less room: a quarter of that) without
 * more room on its file system; its size stays. @returns 0 or an errno; a file system that cannot set room aside is no error
 */
int reserve_after_end(const std::string& path, std::uint64_t bytes);
/**
 * Has anybody but this descriptor the file open, or mapped? It has to be open for reading and writing. EINVAL where the file
 * system cannot tell.
 */
Result<bool> open_elsewhere(int fd);
/** Let the page cache forget a range; what is not written yet stays. @returns 0 or an errno. */
int drop_pages(int fd, std::uint64_t offset, std::uint64_t length);

/** Begin to read a range into the page cache. @returns 0 or an errno */
int read_pages_ahead(int fd, std::uint64_t offset, std::uint64_t length);
/** A flag of preadv2 (RWF_NOWAIT): only what the page cache has. Source: Linux include/uapi/linux/fs.h. */
inline constexpr int read_without_waiting = 0x08;
/**
 * A flag of preadv2 (RWF_DONTCACHE): pages that the read brings into the page cache leave it again; those that were there stay.
 * Linux 6.14 and newer, where the file system can. Source: Linux include/uapi/linux/fs.h.
 */
inline constexpr int read_leaving_no_pages = 0x80;
/** One preadv2 into one target. @returns as preadv2 does, with errno */
ssize_t read_some(int fd, std::uint64_t offset, std::span<std::byte> target, int flags);
/** Do kernel and file system know these flags for this file? */
bool can_read_with(int fd, int flags);
/**
 * Has the page cache all pages of a range right now? Linux 6.5 and newer; no where that cannot be told.
 * Source: Linux include/uapi/linux/mman.h, cachestat.
 */
bool is_cached(int fd, std::uint64_t offset, std::uint64_t length);
/** Can it be told here? */
bool can_tell_cached();
/** fdatasync. @returns 0 or an errno. */
int sync_data(int fd);
Result<Usage> usage(int fd);
/** The first offset at or after `offset` that holds data; -1 when there is none. */
Result<std::int64_t> seek_data(int fd, std::uint64_t offset);
/** The data or hole at `offset`: ENXIO at or past the end. Where the file system cannot tell, it is data to the end. */
Result<Extent> extent_at(int fd, std::uint64_t offset);
/** Open or create `path`, see open_plain, and lock it. EWOULDBLOCK when somebody has it. The lock ends with the descriptor. */
Result<OwnedFd> lock_file(const std::string& path);

}  // namespace parentfs::syscalls
