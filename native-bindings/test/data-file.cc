/** store/data-file: landing, reading, verifying and punching on a real file. */
#include "image/data-file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "disk/crc32c.h"
#include "image/drop-behind.h"
#include "disk/aligned-buffer.h"
#include "syscalls/files.h"
#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace data_file_suite {
namespace {

using image::DataFile;
using image::Blocking;
using image::ReadOutcome;

constexpr std::uint32_t block_bytes = 4096;

void open_sizes(Checks& t) {
  Directory directory;
  const std::string path = directory.file("data");
  CHECK(DataFile::open(path, 12345, block_bytes).ok());
  CHECK(DataFile::open(path, 12345, block_bytes).ok());
  CHECK(DataFile::open(path, 12346, block_bytes).ok());
  CHECK(DataFile::open(path, 12345, block_bytes).error() == EFBIG);
  CHECK(DataFile::open(path, 12346, 1000).error() == EINVAL);
  CHECK(DataFile::open("/", 1, block_bytes).error() == EISDIR);
  struct stat facts {};
  CHECK(::stat(path.c_str(), &facts) == 0 && facts.st_size == 12346 && (facts.st_mode & 0777) == 0600);
}

void round_trip(Checks& t) {
  const std::uint64_t size = 70 * block_bytes + 100;
  const Image image(size, block_bytes);
  image.promote_all();
  std::vector<std::byte> target(size);
  CHECK(image.file->read_all(0, target, 1));
  CHECK(is_image(target, 0));
  CHECK(!image.file->read_all(1, target, 1));
  if (skip_without_nowait(t, *image.file)) return;
  CHECK(image.file->read(size - 10, std::span(target).first(10), Blocking::no, 1) == ReadOutcome::hit);
  CHECK(is_image(std::span(target).first(10), size - 10));
}

void zero_blocks(Checks& t) {
  const std::uint64_t size = 9 * block_bytes + 50;
  const Image image(size, block_bytes);
  image.promote_all();
  auto bytes = image_bytes(0, size);
  const auto clear = [&](std::uint64_t first, std::uint64_t end) {
    std::fill(bytes.begin() + static_cast<long>(first), bytes.begin() + static_cast<long>(end), std::byte{0});
  };
  clear(0, block_bytes);
  clear(3 * block_bytes, 5 * block_bytes);
  clear(9 * block_bytes, size);
  clear(6 * block_bytes, 7 * block_bytes - 1);  // But for its last byte.
  std::fill_n(bytes.begin() + 7 * block_bytes, block_bytes, std::byte{0xff});
  for (std::uint64_t k = 0; k < block_bytes; k++) bytes[8 * block_bytes + k] = std::byte(k % 16);
  const auto landed = image.file->write_blocks(0, bytes);
  CHECK(landed.ok());
  CHECK(landed.value().zero == 0b10'0001'1001);
  CHECK(landed.value().sums.size() == 10);
  CHECK(landed.value().sums[9] == disk::crc32c(std::span(bytes).subspan(9 * block_bytes)));
  std::vector<std::byte> target(size);
  CHECK(image.file->read_all(0, target, 1));
  CHECK(target == bytes);
  const auto usage = syscalls::usage(image.file->fd()).value();
  CHECK(usage.size_bytes == size);
  CHECK(usage.allocated_bytes == 6 * block_bytes);
}

void land_refuses(Checks& t) {
  const Image image(100 * block_bytes + 1, block_bytes);
  const auto error = [&](std::uint64_t offset, std::size_t length) {
    return image.file->write_blocks(offset, image_bytes(offset, length)).error();
  };
  CHECK(error(1, block_bytes) == EINVAL);
  CHECK(error(0, block_bytes - 1) == EINVAL);
  CHECK(error(100 * block_bytes, 2) == EINVAL);
  CHECK(error(101 * block_bytes, 1) == EINVAL);
  CHECK(error(0, 65 * block_bytes) == EINVAL);
  CHECK(error(0, 64 * block_bytes) == 0);
  CHECK(error(100 * block_bytes, 1) == 0);
  CHECK(error(~std::uint64_t{0} - block_bytes + 1, block_bytes) == EINVAL);
}

void verify(Checks& t) {
  const std::uint64_t size = 70 * block_bytes + 100;
  const Image image(size, block_bytes);
  image.promote_all();
  image::Sums sums{};
  for (std::uint64_t k = 0; k < 7; k++) {
    const std::uint64_t block = 64 + k;
    sums[k] = disk::crc32c(image_bytes(block * block_bytes, image.file->geometry().bytes_of_block(block)));
  }
  std::vector<std::byte> scratch(block_bytes);
  CHECK(image.file->verify(1, ~std::uint64_t{0}, sums, image::Medium::page_cache, scratch).good == 0b111'1111);
  CHECK(image.file->verify(1, 0b101'0000, sums, image::Medium::page_cache, scratch).good == 0b101'0000);
  CHECK(image.file->verify(2, 1, sums, image::Medium::page_cache, scratch).good == 0);
  CHECK(syscalls::punch_hole(image.file->fd(), 66 * block_bytes, block_bytes) == 0);
  CHECK(image.file->verify(1, ~std::uint64_t{0}, sums, image::Medium::page_cache, scratch).good == 0b111'1011);
  CHECK(::ftruncate(image.file->fd(), static_cast<off_t>(size - 1)) == 0);
  CHECK(image.file->verify(1, ~std::uint64_t{0}, sums, image::Medium::page_cache, scratch).good == 0b011'1011);
  // What is left in the scratch of the last block is not taken for what the file has lost.
  CHECK(image.file->verify(1, 0b10'0000, sums, image::Medium::page_cache, scratch).good == 0b10'0000);
  CHECK(::ftruncate(image.file->fd(), 69 * block_bytes) == 0);
  CHECK(image.file->verify(1, 0b10'0000, sums, image::Medium::page_cache, scratch).good == 0);
  CHECK(image.file->verify(1, 0b1, sums, image::Medium::page_cache, std::span(scratch).first(block_bytes - 1)).good == 0);
}

void longest_claim(Checks& t) {
  const Image image(3 * residency::claim_bytes_max, block_bytes);
  image.promote_all();
  std::vector<std::byte> target(residency::claim_bytes_max + 1);
  const auto longest = std::span(target).first(residency::claim_bytes_max);
  CHECK(image.file->read(1, longest, Blocking::yes, 1) == ReadOutcome::hit && is_image(longest, 1));
  CHECK(image.file->read_for_other(1, longest, Blocking::yes) == ReadOutcome::hit && is_image(longest, 1));
  CHECK(image.file->read(1, target, Blocking::yes, 1) == ReadOutcome::miss);
  CHECK(image.file->read_for_other(1, target, Blocking::yes) == ReadOutcome::miss);
  CHECK(image.file->splice(1, target.size(), -1) == ReadOutcome::miss);
}

/** A source that the file system cannot share with, or that has other bytes by now, is no failure. */
void clone_source(Checks& t) {
  const Image source(4 * block_bytes, block_bytes);
  source.promote_all();
  const Image image(4 * block_bytes, block_bytes);
  const auto bytes = image_bytes(0, 4 * block_bytes);
  const std::vector<std::int64_t> offsets{0, block_bytes, -1, 0};
  CHECK(image.file->write_blocks(0, bytes, image::Medium::page_cache, {.file = source.file.get(), .offsets = offsets}).ok());
  std::vector<std::byte> target(4 * block_bytes);
  image.file->table()->resident(0) = 0b1111;
  CHECK(image.file->read_all(0, target, 1) && is_image(target, 0));
}

void pages_left(Checks& t) {
  const std::uint64_t size = 64 * block_bytes;
  const Image image(size, block_bytes);
  image.promote_all();
  const int fd = image.file->fd();
  if (!syscalls::can_read_with(fd, syscalls::read_leaving_no_pages)) return t.skip("this kernel or file system has no RWF_DONTCACHE");
  CHECK(syscalls::sync_data(fd) == 0 && syscalls::drop_pages(fd, 0, size) == 0 && pages_of(*image.file, size) == 0);
  std::vector<std::byte> target(size);
  const auto read = [&](Blocking patience, disk::Pages pages) {
    return image.file->read(0, target, patience, 1, pages);
  };
  CHECK(read(Blocking::yes, disk::Pages::drop) == ReadOutcome::hit && is_image(target, 0));
  CHECK(pages_of(*image.file, size) == 0);
  CHECK(read(Blocking::yes, disk::Pages::leave) == ReadOutcome::hit && pages_of(*image.file, size) == 64);
  CHECK(read(Blocking::yes, disk::Pages::drop) == ReadOutcome::hit && pages_of(*image.file, size) == 64);
  CHECK(read(Blocking::no, disk::Pages::drop) == ReadOutcome::hit && is_image(target, 0));
}

void bypassed(Checks& t) {
  constexpr std::uint64_t unit = image::BypassedPages::unit_bytes;
  image::BypassedPages seen(100 * unit + 5);
  seen.add(unit, unit + 1);
  CHECK(!seen.take(0) && seen.take(2 * unit - 1) && !seen.take(unit) && seen.take(2 * unit) && !seen.take(3 * unit));
  seen.add(98 * unit, 100 * unit);
  CHECK(seen.take(98 * unit) && seen.take(100 * unit + 4) && !seen.take(101 * unit) && !seen.take(unit << 30));

  constexpr std::uint64_t size = 4 * unit;
  const Image image(size, unit / 4);
  image.promote_all();
  const int fd = image.file->fd();
  CHECK(syscalls::sync_data(fd) == 0 && image.file->drop_pages(0, size) == 0);
  if (pages_of(*image.file, size) != 0) return t.skip("this file system drops no pages");
  image.file->bring_back(unit + 1);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (pages_of(*image.file, size) != unit / 4096 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  CHECK(pages_of(*image.file, size) == unit / 4096);
  CHECK(syscalls::drop_pages(fd, 0, size) == 0);
  image.file->bring_back(unit);
  CHECK(pages_of(*image.file, size) == 0);  // Once for each time that it was bypassed.
}

/** Objects within which no folio of the page cache can end are written through it, and copied to other hosts. */
void written_past_the_page_cache(Checks& t) {
  if (::sysconf(_SC_PAGESIZE) != 4096) return t.skip("pages are not of 4 KiB");
  constexpr std::uint32_t large_bytes = image::stretch_bytes / residency::blocks_per_object;
  const Image small(large_bytes, large_bytes / 2);
  const Image large(large_bytes, large_bytes);
  CHECK(!small.file->can_splice() && large.file->can_splice());
  const disk::AlignedBuffer bytes(large_bytes);
  write_image(bytes.bytes().data(), large_bytes, 0);
  CHECK(large.file->write_blocks(0, bytes.bytes(), image::Medium::disk).ok());
  CHECK(syscalls::sync_data(large.file->fd()) == 0 && syscalls::drop_pages(large.file->fd(), 0, large_bytes) == 0);
  if (pages_of(*large.file, large_bytes) != 0) return t.skip("this file system drops no pages");
  large.file->bring_back(0);
  CHECK(until([&] { return pages_of(*large.file, large_bytes) == large_bytes / 4096; }));
}

void streams(Checks& t) {
  const std::uint64_t stretch = image::stretch_bytes;
  CHECK(!image::drop_behind(0, stretch - 1) && !image::drop_behind(0, stretch));
  CHECK(!image::drop_behind(stretch, stretch - 1));
  CHECK(image::drop_behind(stretch, stretch) == 0);
  CHECK(image::drop_behind(2 * stretch - 1, 1) == 0);
  CHECK(!image::drop_behind(2 * stretch, stretch - 1));
  CHECK(image::drop_behind(5 * stretch - 10, 20) == 3 * stretch);
  const std::size_t length = image::stream_read_bytes_min;
  image::DropBehind seen;
  CHECK(seen.pages_of(100 * length, length) == disk::Pages::drop);
  CHECK(seen.pages_of(102 * length, length) == disk::Pages::drop_behind);
  CHECK(seen.pages_of(101 * length, length) == disk::Pages::drop_behind);
  CHECK(seen.pages_of(102 * length, length - 1) == disk::Pages::drop);
  CHECK(seen.pages_of(103 * length, length) == disk::Pages::drop_behind);
  CHECK(seen.pages_of(113 * length, length) == disk::Pages::drop);
  CHECK(seen.pages_of(105 * length, length) == disk::Pages::drop);
}

void verify_disk(Checks& t) {
  const std::uint64_t size = 3 * block_bytes + 100;
  const Image image(size, block_bytes);
  image.promote_all();
  image::Sums sums{};
  for (std::uint64_t k = 0; k < 4; k++) {
    sums[k] = disk::crc32c(image_bytes(k * block_bytes, image.file->geometry().bytes_of_block(k)));
  }
  const disk::AlignedBuffer scratch(block_bytes);
  const auto verify_from = [&](image::Medium medium) {
    return image.file->verify(0, ~std::uint64_t{0}, sums, medium, scratch.bytes()).good;
  };
  const auto is_cached = [&] { return pages_of(*image.file, size) > 0; };
  CHECK(verify_from(image::Medium::disk) == 0b1111);  // What is not on the disk yet is written first.
  CHECK(syscalls::sync_data(image.file->fd()) == 0);
  CHECK(syscalls::drop_pages(image.file->fd(), 0, size) == 0);
  if (!is_cached()) {  // A file system in memory has nothing else.
    CHECK(verify_from(image::Medium::disk) == 0b1111);
    CHECK(!is_cached());
    CHECK(verify_from(image::Medium::page_cache) == 0b1111);
    CHECK(is_cached());
  }
  CHECK(syscalls::punch_hole(image.file->fd(), block_bytes, block_bytes) == 0);
  CHECK(verify_from(image::Medium::disk) == 0b1101);
  CHECK(::ftruncate(image.file->fd(), static_cast<off_t>(size - 1)) == 0);
  CHECK(verify_from(image::Medium::disk) == 0b0101);
}

void punch_past_the_end(Checks& t) {
  const Image image(2 * block_bytes + 10, block_bytes);
  image.promote_all();
  CHECK(syscalls::punch_hole(image.file->fd(), 0, 3 * block_bytes) == 0);
  const auto usage = syscalls::usage(image.file->fd()).value();
  CHECK(usage.size_bytes == 2 * block_bytes + 10);
  CHECK(usage.allocated_bytes == 0);
}

void shrunk_file(Checks& t) {
  const Image image(4 * block_bytes, block_bytes);
  image.promote_all();
  CHECK(::ftruncate(image.file->fd(), 3 * block_bytes) == 0);
  std::vector<std::byte> target(2 * block_bytes);
  CHECK(image.file->read(2 * block_bytes, target, Blocking::no, 1) == ReadOutcome::would_wait);
  CHECK(image.file->read(2 * block_bytes, target, Blocking::yes, 1) == ReadOutcome::miss);
}

}  // namespace
}  // namespace data_file_suite

Tests data_file_tests() {
  using namespace data_file_suite;
  return {
      {"a data file is opened at exactly its size, and refused when it is longer", open_sizes},
      {"what was landed is read back, to the last odd byte", round_trip},
      {"zero blocks are punched, take no space, and read as zeros", zero_blocks},
      {"landing refuses what is not whole blocks of the image", land_refuses},
      {"verification names exactly the blocks that are whole and right", verify},
      {"the longest read is one claim, and a longer one is a miss", longest_claim},
      {"blocks are written where no other file can share its own", clone_source},
      {"what was written past the page cache is brought back when it is read", written_past_the_page_cache},
      {"a reader with pages of its own leaves none behind that were not there, and another one does", pages_left},
      {"what a stream bypassed is brought back once, a unit at a time", bypassed},
      {"a stream has left a stretch behind when it has read the next one", streams},
      {"verification of the disk leaves the page cache as it is", verify_disk},
      {"a punch past the end frees the tail and keeps the size", punch_past_the_end},
      {"a file that lost its end gives misses, not short reads", shrunk_file},
  };
}

}  // namespace parentfs::test
