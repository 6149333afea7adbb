/** mmap and mlock, piece by piece. */
#include "disk/locked-file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "syscalls/files.h"

namespace parentfs::disk {

namespace {

/** Locked at once: of a file that may not be locked whole, all but such a piece is. A multiple of any page. */
constexpr std::uint64_t piece_bytes = 1024UL * 1024;

}  // namespace

LockedFile::~LockedFile() {
  for (const Mapping& mapping : mappings_) ::munmap(mapping.memory, mapping.bytes);
}

Result<LockedFile::Extent> LockedFile::extend() {
  const Lock lock(mutex_);
  if (fd_.get() < 0) {
    auto opened = syscalls::open_plain(path_, O_RDONLY);
    if (!opened.ok()) return Failure{opened.error()};
    fd_ = std::move(opened.value());
  }
  struct stat facts {};
  if (::fstat(fd_.get(), &facts) != 0) return Failure{errno};
  const auto size_bytes = static_cast<std::uint64_t>(facts.st_size);
  while (locked_bytes_ < std::min(size_bytes, bytes_max_)) {
    // From the last whole piece on: one that grew is locked once more, and its old mapping does no harm.
    const std::uint64_t from = locked_bytes_ / piece_bytes * piece_bytes;
    const std::uint64_t until = std::min({from + piece_bytes, size_bytes, bytes_max_});
    void* memory = ::mmap(nullptr, until - from, PROT_READ, MAP_SHARED, fd_.get(), static_cast<off_t>(from));
    if (memory == MAP_FAILED) return Failure{errno};
    if (::mlock(memory, until - from) != 0) {
      ::munmap(memory, until - from);
      break;  // EPERM, ENOMEM, EAGAIN: more than this process may lock.
    }
    if (locked_bytes_ > from) {
      ::munmap(mappings_.back().memory, mappings_.back().bytes);
      mappings_.pop_back();
    }
    mappings_.push_back({.memory = memory, .bytes = until - from});
    locked_bytes_ = until;
  }
  return Extent{.locked_bytes = locked_bytes_, .size_bytes = size_bytes};
}

}  // namespace parentfs::disk
