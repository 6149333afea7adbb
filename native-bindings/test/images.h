/**
 * Images whose every byte says where it lies, so that a byte from elsewhere, or a zero from a hole, is noticed.
 */
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "image/data-file.h"
#include "syscalls/files.h"
#include "test/harness.h"

namespace parentfs::test {

/** The byte of the image at `offset`; never 0. Sanitizers would take minutes for the bytes of all tests, one by one. */
[[gnu::no_sanitize("thread", "address")]] inline std::byte byte_at(std::uint64_t offset) {
  const std::uint64_t mixed = (offset + 1) * 0x9E3779B97F4A7C15ULL;
  return static_cast<std::byte>((mixed >> 56) % 255 + 1);
}

/** Write the image's bytes at `offset` to memory that nobody else has. */
[[gnu::no_sanitize("thread", "address")]] inline void write_image(std::byte* bytes, std::size_t length, std::uint64_t offset) {
  for (std::size_t k = 0; k < length; k++) bytes[k] = byte_at(offset + k);
}

inline std::vector<std::byte> image_bytes(std::uint64_t offset, std::size_t length) {
  std::vector<std::byte> bytes(length);
  write_image(bytes.data(), length, offset);
  return bytes;
}

/** Are these the image's bytes at `offset`? They are compared by memcmp, which sanitizers watch. */
inline bool is_image(std::span<const std::byte> bytes, std::uint64_t offset) {
  std::array<std::byte, 4096> right;
  for (std::size_t at = 0; at < bytes.size(); at += right.size()) {
    const std::size_t length = std::min(right.size(), bytes.size() - at);
    write_image(right.data(), length, offset + at);
    if (std::memcmp(bytes.data() + at, right.data(), length) != 0) return false;
  }
  return true;
}

/** qemu-user, on which the tests run for other processors, does not pass preadv2 on. @returns whether the test was skipped */
inline bool skip_without_nowait(Checks& t, const image::DataFile& file) {
  if (syscalls::can_read_with(file.fd(), syscalls::read_without_waiting)) return false;
  t.skip("no RWF_NOWAIT");
  return true;
}

/** Pages of [offset, offset + length) in the page cache. Not asked by a read that does not wait: it starts a read-ahead. */
inline std::size_t pages_of(const image::DataFile& file, std::uint64_t length, std::uint64_t offset = 0) {
  std::vector<unsigned char> pages((length + 4095) / 4096);
  void* map = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, file.fd(), static_cast<off_t>(offset));
  if (map == MAP_FAILED || ::mincore(map, length, pages.data()) != 0) std::abort();
  ::munmap(map, length);
  return static_cast<std::size_t>(std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; }));
}

/** A data file in a directory of its own. */
struct Image {
  Image(std::uint64_t size_bytes, std::uint32_t block_bytes)
      : path(directory.file("data")), file(image::DataFile::open(path, size_bytes, block_bytes, nullptr, nullptr, misses).value()) {}

  /** As an engine at its end: reports that nobody took refer to the table, which refers to where they lie. */
  ~Image() { misses->close(); }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  /** Write blocks (those that exist) and set their bits, in the order of a promotion. */
  void promote(std::uint64_t object, std::uint64_t first, std::uint64_t count) const {
    const auto& geometry = file->geometry();
    const std::uint64_t begin = geometry.offset_of_block(object * residency::blocks_per_object + first);
    if (begin >= geometry.size_bytes()) return;
    const std::uint64_t length = std::min(count * geometry.block_bytes(), geometry.size_bytes() - begin);
    if (!file->write_blocks(begin, image_bytes(begin, length)).ok()) std::abort();
    file->table()->resident(object).fetch_or(geometry.touched(object, begin, begin + length - 1));
  }

  void promote_all() const {
    for (std::uint64_t object = 0; object < file->geometry().objects(); object++) {
      promote(object, 0, residency::blocks_per_object);
    }
  }

  Directory directory;
  std::string path;
  /** Its reports are taken by the test. */
  std::shared_ptr<image::MissEngine> misses = std::make_shared<image::MissEngine>(nullptr);
  std::shared_ptr<image::DataFile> file;
};

}  // namespace parentfs::test
