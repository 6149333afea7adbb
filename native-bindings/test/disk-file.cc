/** disk/disk-file: errors of the disk, and file systems that want larger units than pages. */
#include "disk/disk-file.h"

#include <fcntl.h>

#include <cerrno>
#include <string>

#include "disk/aligned-buffer.h"
#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace disk_file_suite {
namespace {

OwnedFd opened(const std::string& path, int flags) { return OwnedFd(::open(path.c_str(), flags | O_CLOEXEC, 0600)); }

void errors(Checks& t) {
  Directory directory;
  const std::string path = directory.file("data");
  std::vector<std::byte> target(100);
  const disk::DiskFile written(opened(path, O_WRONLY | O_CREAT), nullptr, nullptr);
  CHECK(written.write(0, image_bytes(0, 50)) == 0);
  CHECK(written.read(0, target).error == EBADF && written.read_cached(0, target, disk::Pages::leave) == 0);
  const disk::DiskFile read(opened(path, O_RDONLY), nullptr, nullptr);
  const disk::DiskRead got = read.read(0, target);
  CHECK(got.bytes == 50 && got.error == 0 && is_image(std::span(target).first(50), 0));
  CHECK(read.write(0, image_bytes(0, 50)) == EBADF);
  CHECK(read.punch(0, 50) == EBADF && read.punch(0, 0) == 0);
  const disk::DiskFile none(OwnedFd(-1), nullptr, nullptr);
  CHECK(none.sync() == EBADF && read.sync() == 0);
}

void larger_units(Checks& t) {
  Directory directory;
  const std::string path = directory.file("data");
  constexpr std::size_t page = disk::AlignedBuffer::page_bytes;
  const disk::AlignedBuffer bytes(2 * page);
  write_image(bytes.bytes().data(), 2 * page, 0);
  const disk::DiskFile file(opened(path, O_RDWR | O_CREAT), nullptr, nullptr);
  // It refuses all that is no number as O_DIRECT refuses what is too small.
  const OwnedFd refusing = opened("/proc/self/coredump_filter", O_RDWR);
  if (refusing.get() < 0) return t.skip("no /proc/self/coredump_filter");
  CHECK(file.write(0, bytes.bytes(), refusing.get()) == 0);
  const disk::AlignedBuffer target(2 * page);
  CHECK(file.read(0, target.bytes()).bytes == 2 * page && is_image(target.bytes(), 0));
  const OwnedFd direct = opened(path, O_RDONLY | O_DIRECT);
  // An offset within a sector: refused, or read all the same.
  const disk::DiskRead got = file.read_uncached(direct.get(), 100, target.bytes(), page);
  CHECK(got.error == 0 && got.bytes == page && is_image(target.bytes().first(page), 100));
  // The kernel reads whole pages, and the caller gets no more than it asked for.
  const disk::DiskRead some = file.read_uncached(direct.get(), 0, target.bytes(), 10);
  CHECK(some.error == 0 && some.bytes == 10 && is_image(target.bytes().first(10), 0));
}

}  // namespace
}  // namespace disk_file_suite

Tests disk_file_tests() {
  using namespace disk_file_suite;
  return {
      {"an error of the disk is told, and is no end of the file", errors},
      {"a file system that refuses pages past the page cache gets them through it", larger_units},
  };
}

}  // namespace parentfs::test
