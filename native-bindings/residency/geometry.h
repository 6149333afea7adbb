/**
 * The block and object arithmetic of one image. An object is exactly 64 blocks, so its blocks are the bits of one u64.
 */
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace parentfs::residency {

inline constexpr std::uint32_t block_bytes_min = 4096;
inline constexpr std::uint32_t block_bytes_max = 1024 * 1024;
inline constexpr std::uint32_t blocks_per_object = 64;
/** log2 of `blocks_per_object`. */
inline constexpr std::uint32_t object_shift = 6;

class Geometry {
 public:
  /** @param block_bytes a power of two, `block_bytes_min` to `block_bytes_max` */
  Geometry(std::uint64_t size_bytes, std::uint32_t block_bytes)
      : size_bytes_(size_bytes), block_shift_(static_cast<std::uint32_t>(std::countr_zero(block_bytes))) {}

  static bool accepts(std::uint32_t block_bytes) {
    return std::has_single_bit(block_bytes) && block_bytes >= block_bytes_min && block_bytes <= block_bytes_max;
  }

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] std::uint64_t block_bytes() const { return std::uint64_t{1} << block_shift_; }
  [[nodiscard]] std::uint64_t objects() const {
    const std::uint64_t blocks = block_of(size_bytes_ + block_bytes() - 1);
    return (blocks + blocks_per_object - 1) >> object_shift;
  }
  [[nodiscard]] std::uint64_t block_of(std::uint64_t offset) const { return offset >> block_shift_; }
  [[nodiscard]] std::uint64_t object_of(std::uint64_t offset) const { return offset >> (block_shift_ + object_shift); }
  [[nodiscard]] std::uint64_t offset_of_block(std::uint64_t block) const { return block << block_shift_; }

  /** Does [offset, offset + length) lie within the image? Sums that overflow do not. */
  [[nodiscard]] bool contains(std::uint64_t offset, std::uint64_t length) const {
    return offset <= size_bytes_ && length <= size_bytes_ - offset;
  }

  /** Bytes of a block: all but the last of an image are whole. 0 past the end. */
  [[nodiscard]] std::uint64_t bytes_of_block(std::uint64_t block) const {
    const std::uint64_t begin = offset_of_block(block);
    return begin >= size_bytes_ ? 0 : std::min(block_bytes(), size_bytes_ - begin);
  }

  /** The blocks of `object` that the bytes `first` to `last` (inclusive, both within the image) touch. */
  [[nodiscard]] std::uint64_t touched(std::uint64_t object, std::uint64_t first, std::uint64_t last) const {
    const std::uint64_t base = object << object_shift;
    const std::uint64_t from = std::max(block_of(first), base) - base;
    const std::uint64_t to = std::min(block_of(last), base + blocks_per_object - 1) - base;
    const std::uint64_t count = to - from + 1;
    return (count == blocks_per_object ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1) << from;
  }

 private:
  std::uint64_t size_bytes_;
  std::uint32_t block_shift_;
};

}  // namespace parentfs::residency
