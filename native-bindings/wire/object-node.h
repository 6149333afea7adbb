/**
 * Node ids of the object view: an image, the size of its objects, and one of them. They mean the same in every process.
 *
 * Bits 32 to 63 are those of the image's own node id that tell images apart, bits 28 to 31 the order of the object's
 * size less 12, bits 0 to 27 its number. src/librbd/object-node.ts has the same.
 */
#pragma once

#include <cstdint>

namespace parentfs::wire {

struct ObjectNode {
  /** Never 0: lower node ids are directories. */
  std::uint64_t image;
  std::uint32_t order;
  std::uint64_t number;

  static constexpr std::uint32_t number_bits = 28;
  static constexpr std::uint32_t order_min = 12;
  static constexpr std::uint32_t order_max = 27;

  static constexpr ObjectNode of(std::uint64_t node_id) {
    return {.image = node_id >> 32U,
            .order = order_min + static_cast<std::uint32_t>((node_id >> number_bits) & 15U),
            .number = node_id & ((std::uint64_t{1} << number_bits) - 1)};
  }

  [[nodiscard]] constexpr std::uint64_t id() const {
    return (image << 32U) | (static_cast<std::uint64_t>(order - order_min) << number_bits) | number;
  }
  /** Offset in the image. */
  [[nodiscard]] constexpr std::uint64_t offset() const { return number << order; }
  [[nodiscard]] constexpr std::uint64_t bytes() const { return std::uint64_t{1} << order; }
};

}  // namespace parentfs::wire
