/**
 * The reader's half of the protocol that lets reads race with eviction: generations, bits, bytes, generations again.
 *
 * The writer evicts in this order: clear the bits, bump the generation, punch; and promotes in this one: write, set the
 * bits. So a reader that saw the bits set and the generation unmoved after its read has bytes that were not taken away
 * meanwhile.
 */
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "residency/geometry.h"
#include "residency/table.h"

namespace parentfs::residency {

/**
 * Longest range of one claim, in bytes, and the objects that it can touch: an object has at least 64 * 4 KiB, and both
 * ends may lie inside one.
 */
inline constexpr std::uint64_t claim_bytes_max = std::uint64_t{1024} * 1024;
inline constexpr std::size_t claim_objects_max =
    claim_bytes_max / (std::uint64_t{blocks_per_object} * block_bytes_min) + 1;

class SeqlockRead {
 public:
  /** A claim on [offset, offset + length), which lies within the image; `length` is 1 to `claim_bytes_max`. */
  SeqlockRead(const Table& table, const Geometry& geometry, std::uint64_t offset, std::uint64_t length)
      : table_(table), first_(geometry.object_of(offset)), last_(geometry.object_of(offset + length - 1)) {
    for (std::uint64_t object = first_; object <= last_; object++) {
      // Before the bits: a generation loaded after them could be that of an eviction which they no longer show.
      generations_[object - first_] = table_.generation(object).load(std::memory_order_acquire);
      const std::uint64_t needed = geometry.touched(object, offset, offset + length - 1);
      const std::uint64_t resident = table_.resident(object).load(std::memory_order_acquire);
      if ((resident & needed) != needed) {
        whole_ = false;
        return;
      }
    }
  }

  /** Was every block resident? If not, there is nothing to read. */
  [[nodiscard]] bool whole() const { return whole_; }

  /** After the bytes were read: are they still those of the claim? */
  [[nodiscard]] bool holds() const {
    // The loads below must not be done before the bytes were loaded.
    std::atomic_thread_fence(std::memory_order_acquire);
    for (std::uint64_t object = first_; object <= last_; object++) {
      if (table_.generation(object).load(std::memory_order_acquire) != generations_[object - first_]) return false;
    }
    return true;
  }

  /** Say that the objects were used now. Written only where it differs: readers of one object share its cache line. */
  void touch(std::uint32_t tick) const {
    for (std::uint64_t object = first_; object <= last_; object++) {
      const auto last_use = table_.last_use(object);
      if (last_use.load(std::memory_order_relaxed) != tick) last_use.store(tick, std::memory_order_relaxed);
    }
  }

 private:
  const Table& table_;
  std::uint64_t first_;
  std::uint64_t last_;
  std::array<std::uint32_t, claim_objects_max> generations_;
  bool whole_ = true;
};

}  // namespace parentfs::residency
