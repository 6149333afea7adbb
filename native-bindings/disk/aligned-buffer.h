/**
 * A buffer aligned to a page, of memory that the kernel gives when it is first touched.
 */
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

namespace parentfs::disk {

class AlignedBuffer {
 public:
  static constexpr std::size_t page_bytes = 4096;

  /** @param bytes a multiple of `page_bytes` */
  explicit AlignedBuffer(std::size_t bytes) : memory_(std::aligned_alloc(page_bytes, bytes)), bytes_(bytes) {
    if (!memory_) throw std::bad_alloc();
  }

  /** Have the kernel give so much memory at its begin now. */
  void touch(std::size_t length) const { std::ranges::fill(bytes().first(length), std::byte{}); }

  [[nodiscard]] std::span<std::byte> bytes() const { return {static_cast<std::byte*>(memory_.get()), bytes_}; }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  std::size_t bytes_;
};

}  // namespace parentfs::disk
