/** System calls that go on after a signal, and fail where a test wants them to. */
#include "disk/disk-file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "disk/aligned-buffer.h"
#include "syscalls/files.h"

namespace parentfs::disk {

namespace {

/** Bytes that are read back at once of a range that was shared. */
constexpr std::size_t cloned_piece_bytes = std::size_t{256} * 1024;

DiskRead read_from(int fd, std::uint64_t offset, std::span<std::byte> target, int flags) {
  DiskRead done{.bytes = 0, .error = 0};
  while (done.bytes < target.size()) {
    const ssize_t got = syscalls::read_some(fd, offset + done.bytes, target.subspan(done.bytes), flags);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) done.error = errno;
    if (got <= 0) break;
    done.bytes += static_cast<std::size_t>(got);
  }
  return done;
}

int write_to(int fd, std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return EIO;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return 0;
}

}  // namespace

std::size_t DiskFile::read_cached(std::uint64_t offset, std::span<std::byte> target, Pages pages) const {
  if (faults_ != nullptr && faults_->concerns(DiskOperation::read, offset, target.size())) return 0;
  const ssize_t got = syscalls::read_some(fd(), offset, target, syscalls::read_without_waiting | flags(pages));
  return got < 0 ? 0 : static_cast<std::size_t>(got);  // EAGAIN; EOPNOTSUPP where the file system cannot.
}

std::size_t DiskFile::read_without_io(std::uint64_t offset, std::span<std::byte> target, Pages pages) const {
  return syscalls::is_cached(fd(), offset, target.size()) ? read_cached(offset, target, pages) : 0;
}

DiskRead DiskFile::read(std::uint64_t offset, std::span<std::byte> target, Pages pages) const {
  const InflightReads::Mark mark(reads_);
  const int fault = faults_ == nullptr ? 0 : faults_->strike(DiskOperation::read, offset, target.size());
  return fault != 0 ? DiskRead{.bytes = 0, .error = fault} : read_from(fd(), offset, target, flags(pages));
}

bool DiskFile::splice_cached(std::uint64_t offset, std::size_t length, int pipe) const {
  if (faults_ != nullptr && faults_->concerns(DiskOperation::read, offset, length)) return false;
  if (!syscalls::is_cached(fd(), offset, length)) return false;
  auto at = static_cast<off64_t>(offset);
  while (length > 0) {
    const ssize_t moved = ::splice(fd(), &at, pipe, nullptr, length, SPLICE_F_NONBLOCK);
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return false;
    length -= static_cast<std::size_t>(moved);
  }
  return true;
}

DiskRead DiskFile::read_uncached(int direct_fd, std::uint64_t offset, std::span<std::byte> target,
                                 std::size_t length) const {
  // O_DIRECT wants whole pages, at the end of the file too: what lies there is cut off by the kernel.
  const std::size_t pages = (length + AlignedBuffer::page_bytes - 1) / AlignedBuffer::page_bytes * AlignedBuffer::page_bytes;
  if (direct_fd < 0 || pages > target.size()) return read(offset, target.first(length));
  const InflightReads::Mark mark(reads_);
  const int fault = faults_ == nullptr ? 0 : faults_->strike(DiskOperation::read, offset, length);
  if (fault != 0) return {.bytes = 0, .error = fault};
  const DiskRead got = read_from(direct_fd, offset, target.first(pages), 0);
  // Some file systems take O_DIRECT and then want larger units than pages.
  if (got.error == EINVAL) return read(offset, target.first(length));
  return {.bytes = std::min(got.bytes, length), .error = got.error};
}

int DiskFile::write(std::uint64_t offset, std::span<const std::byte> bytes, int direct_fd) const {
  const int fault = faults_ == nullptr ? 0 : faults_->strike(DiskOperation::write, offset, bytes.size());
  if (fault != 0) return fault;
  const bool is_aligned = (reinterpret_cast<std::uintptr_t>(bytes.data()) | offset) % AlignedBuffer::page_bytes == 0;
  const std::size_t pages = bytes.size() / AlignedBuffer::page_bytes * AlignedBuffer::page_bytes;
  if (direct_fd < 0 || !is_aligned || pages == 0) return write_to(fd(), offset, bytes);
  const int error = write_to(direct_fd, offset, bytes.first(pages));
  // Some file systems take O_DIRECT and then want larger units than pages.
  if (error == EINVAL) return write_to(fd(), offset, bytes);
  return error != 0 ? error : write_to(fd(), offset + pages, bytes.subspan(pages));
}

Cloned DiskFile::clone(const DiskFile& source, std::uint64_t source_offset, std::uint64_t offset,
                       std::span<const std::byte> bytes) const {
  if (faults_ != nullptr && faults_->strike(DiskOperation::write, offset, bytes.size()) != 0) return Cloned::failed;
  const int error = syscalls::clone_range(source.fd(), source_offset, fd(), offset, bytes.size());
  if (error == EOPNOTSUPP || error == EXDEV || error == ENOTTY) return Cloned::impossible;
  if (error != 0) return Cloned::failed;
  // The source may have been punched, or have rotted, since its bytes were read.
  std::vector<std::byte> piece(std::min<std::size_t>(bytes.size(), cloned_piece_bytes));
  while (!bytes.empty()) {
    const std::size_t length = std::min(bytes.size(), piece.size());
    const DiskRead got = read(offset, std::span(piece).first(length), Pages::drop);
    const bool is_same = got.error == 0 && got.bytes == length && std::memcmp(piece.data(), bytes.data(), length) == 0;
    if (!is_same) return Cloned::failed;
    bytes = bytes.subspan(length);
    offset += length;
  }
  return Cloned::shared;
}

int DiskFile::punch(std::uint64_t offset, std::uint64_t length) const {
  if (length == 0) return 0;
  const int fault = faults_ == nullptr ? 0 : faults_->strike(DiskOperation::punch, offset, length);
  return fault != 0 ? fault : syscalls::punch_hole(fd(), offset, length);
}

int DiskFile::sync() const {
  const int fault = faults_ == nullptr ? 0 : faults_->strike(DiskOperation::sync, 0, 0);
  return fault != 0 ? fault : syscalls::sync_data(fd());
}

}  // namespace parentfs::disk
