/** System calls on files. */
#include "syscalls/files.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <string>

namespace parentfs::syscalls {

namespace {

/**
 * No access time is written for reads of `fd`. Otherwise a read, even one with RWF_NOWAIT, begins a transaction of the
 * file system's journal once a day, and waits for a disk that hangs. Only the owner of a file may ask for this; without
 * it reads are right all the same.
 * Source: Linux fs/inode.c, touch_atime; open(2), O_NOATIME.
 */
void forgo_access_times(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0) (void)::fcntl(fd, F_SETFL, flags | O_NOATIME);
}

struct PageRange {
  std::uint64_t offset;
  std::uint64_t length;
};
struct CachedPages {
  std::uint64_t cached;
  std::uint64_t others[4];
};

/** @returns false, with errno, where it cannot tell */
bool cachestat(int fd, PageRange range, CachedPages& pages) {
  // One number on every architecture.
  constexpr long number = 451;
  return ::syscall(number, fd, &range, &pages, 0) == 0;
}

}  // namespace

Result<OwnedFd> open_plain(const std::string& path, int flags) {
  // Without O_NONBLOCK a pipe would hold us until somebody writes to it. Regular files do not know it.
  OwnedFd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600));
  if (fd.get() < 0) return Failure{errno};
  struct stat facts {};
  if (::fstat(fd.get(), &facts) != 0) return Failure{errno};
  if (!S_ISREG(facts.st_mode)) return Failure{EINVAL};
  if (facts.st_nlink > 1) return Failure{EMLINK};
  return fd;
}

Result<OwnedFd> open_exact(const std::string& path, std::uint64_t size_bytes) {
  auto opened = open_plain(path, O_RDWR | O_CREAT);
  if (!opened.ok()) return Failure{opened.error()};
  OwnedFd fd = std::move(opened.value());
  struct stat facts {};
  if (::fstat(fd.get(), &facts) != 0) return Failure{errno};
  const auto size_now = static_cast<std::uint64_t>(facts.st_size);
  if (size_now > size_bytes) return Failure{EFBIG};
  if (size_now < size_bytes && ::ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0) return Failure{errno};
  forgo_access_times(fd.get());
  return fd;
}

Result<OwnedFd> open_uncached(int fd, int access) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  OwnedFd opened(::open(path.c_str(), access | O_DIRECT | O_CLOEXEC));
  if (opened.get() < 0) return Failure{errno};
  forgo_access_times(opened.get());
  return opened;
}

ssize_t read_some(int fd, std::uint64_t offset, std::span<std::byte> target, int flags) {
  // Emulators know pread, and not all of them preadv2, which musl has only since 1.2.5.
  if (flags == 0) return ::pread(fd, target.data(), target.size(), static_cast<off_t>(offset));
  const iovec part{.iov_base = target.data(), .iov_len = target.size()};
  // The offset is in two halves; a 64-bit kernel looks at the lower one alone. Source: Linux fs/read_write.c, pos_from_hilo.
  return ::syscall(SYS_preadv2, fd, &part, 1L, static_cast<long>(offset), 0L, flags);
}

bool can_read_with(int fd, int flags) {
  // Past all ends: it reads nothing, and is refused (EOPNOTSUPP) or not.
  std::byte byte{};
  return read_some(fd, std::uint64_t{1} << 62, std::span(&byte, 1), flags) == 0;
}

int punch_hole(int fd, std::uint64_t offset, std::uint64_t length) {
  int done = 0;
  do {
    done = ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                       static_cast<off_t>(length));
  } while (done != 0 && errno == EINTR);
  return done == 0 ? 0 : errno;
}

int clone_range(int from, std::uint64_t from_offset, int fd, std::uint64_t offset, std::uint64_t length) {
  file_clone_range range{.src_fd = from, .src_offset = from_offset, .src_length = length, .dest_offset = offset};
  int done = 0;
  do {
    done = ::ioctl(fd, FICLONERANGE, &range);
  } while (done != 0 && errno == EINTR);
  return done == 0 ? 0 : errno;
}

int reserve_after_end(const std::string& path, std::uint64_t bytes) {
  const auto opened = open_plain(path, O_WRONLY);
  if (!opened.ok()) return opened.error();
  const OwnedFd& fd = opened.value();
  struct stat facts {};
  if (::fstat(fd.get(), &facts) != 0) return errno;
  for (const std::uint64_t wanted : {bytes, bytes / 4}) {
    if (::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, facts.st_size, static_cast<off_t>(wanted)) == 0) return 0;
    if (errno == EOPNOTSUPP) return 0;
    if (errno != ENOSPC && errno != EDQUOT) break;
  }
  return errno;
}

int drop_pages(int fd, std::uint64_t offset, std::uint64_t length) {
  return ::posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(length), POSIX_FADV_DONTNEED);
}

int read_pages_ahead(int fd, std::uint64_t offset, std::uint64_t length) {
  return ::posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(length), POSIX_FADV_WILLNEED);
}

Result<bool> open_elsewhere(int fd) {
  // An open of the file breaks the lease and sends us a signal: SIGIO would end the process, this one does nothing.
  // Source: fcntl(2), "Leases" and F_SETSIG; signal(7).
  if (::fcntl(fd, F_SETSIG, SIGURG) != 0) return Failure{errno};
  // A write lease is given only to who is alone. Source: fcntl(2), F_SETLEASE; Linux fs/locks.c, check_conflicting_open.
  if (::fcntl(fd, F_SETLEASE, F_WRLCK) != 0) {
    if (errno == EAGAIN) return true;
    return Failure{errno};
  }
  ::fcntl(fd, F_SETLEASE, F_UNLCK);
  return false;
}

bool is_cached(int fd, std::uint64_t offset, std::uint64_t length) {
  CachedPages pages{};
  static const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (length == 0 || !cachestat(fd, {.offset = offset, .length = length}, pages)) return length == 0;
  return pages.cached == (offset + length - 1) / page_bytes - offset / page_bytes + 1;
}

bool can_tell_cached() {
  CachedPages pages{};
  static const bool is_known = !cachestat(-1, {}, pages) && errno == EBADF;
  return is_known;
}

int sync_data(int fd) { return ::fdatasync(fd) == 0 ? 0 : errno; }

Result<Usage> usage(int fd) {
  struct stat facts {};
  if (::fstat(fd, &facts) != 0) return Failure{errno};
  return Usage{.size_bytes = static_cast<std::uint64_t>(facts.st_size),
               .allocated_bytes = static_cast<std::uint64_t>(facts.st_blocks) * 512};
}

Result<std::int64_t> seek_data(int fd, std::uint64_t offset) {
  const off_t data = ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  if (data >= 0) return std::int64_t{data};
  if (errno == ENXIO) return std::int64_t{-1};
  return Failure{errno};
}

Result<Extent> extent_at(int fd, std::uint64_t offset) {
  struct stat facts {};
  if (::fstat(fd, &facts) != 0) return Failure{errno};
  const auto size_bytes = static_cast<std::uint64_t>(facts.st_size);
  if (offset >= size_bytes) return Failure{ENXIO};
  const off_t data = ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0 && errno == ENXIO) return Extent{.hole = true, .end = size_bytes};
  if (data < 0 && errno == EINVAL) return Extent{.hole = false, .end = size_bytes};  // No SEEK_DATA here.
  if (data < 0) return Failure{errno};
  if (static_cast<std::uint64_t>(data) > offset) {
    return Extent{.hole = true, .end = std::min(static_cast<std::uint64_t>(data), size_bytes)};
  }
  const off_t hole = ::lseek(fd, static_cast<off_t>(offset), SEEK_HOLE);
  // A file that shrank meanwhile has no hole to find: what is not known is data.
  if (hole < 0 || static_cast<std::uint64_t>(hole) <= offset) return Extent{.hole = false, .end = size_bytes};
  return Extent{.hole = false, .end = std::min(static_cast<std::uint64_t>(hole), size_bytes)};
}

Result<OwnedFd> lock_file(const std::string& path) {
  auto opened = open_plain(path, O_RDWR | O_CREAT);
  if (!opened.ok()) return Failure{opened.error()};
  if (::flock(opened.value().get(), LOCK_EX | LOCK_NB) != 0) return Failure{errno};
  return opened;
}

}  // namespace parentfs::syscalls
