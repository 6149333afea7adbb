/**
 * The residency table of one image: memory that TypeScript and the native readers share, 16 bytes an object.
 *
 * TypeScript alone changes `resident` and `generation`, with Atomics; native code reads them and writes `last_use`.
 * Pages are given by the kernel when they are first touched, so that the table of a 3 TiB image costs what is used of
 * it.
 */
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "result.h"

namespace parentfs::residency {

struct Entry {
  /** Bit k: the bytes of block k are in the data file, and verified. */
  std::uint64_t resident;
  /** Moves whenever bytes may be about to go. */
  std::uint32_t generation;
  /** The tick of the last read. */
  std::uint32_t last_use;
};
static_assert(sizeof(Entry) == 16);
static_assert(std::atomic_ref<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic_ref<std::uint32_t>::is_always_lock_free);

class Table {
 public:
  /**
   * The longest table: what JavaScript can see of one buffer. It is that of an image of 64 TiB in blocks of 4 KiB.
   * Source: Node.js 20, buffer.constants.MAX_LENGTH.
   */
  static constexpr std::uint64_t objects_max = (std::uint64_t{4} << 30) / sizeof(Entry);

  /** A table of `objects` zeroed entries; 0 is fine, over `objects_max` is EFBIG. */
  static Result<std::shared_ptr<Table>> map(std::uint64_t objects);
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  [[nodiscard]] void* data() const { return entries_; }
  [[nodiscard]] std::size_t size_bytes() const { return objects_ * sizeof(Entry); }
  [[nodiscard]] std::uint64_t objects() const { return objects_; }

  [[nodiscard]] std::atomic_ref<std::uint64_t> resident(std::uint64_t object) const {
    return std::atomic_ref(entries_[object].resident);
  }
  [[nodiscard]] std::atomic_ref<std::uint32_t> generation(std::uint64_t object) const {
    return std::atomic_ref(entries_[object].generation);
  }
  [[nodiscard]] std::atomic_ref<std::uint32_t> last_use(std::uint64_t object) const {
    return std::atomic_ref(entries_[object].last_use);
  }

 private:
  Table(Entry* entries, std::uint64_t objects, std::size_t mapped_bytes)
      : entries_(entries), objects_(objects), mapped_bytes_(mapped_bytes) {}

  Entry* entries_;
  std::uint64_t objects_;
  std::size_t mapped_bytes_;
};

}  // namespace parentfs::residency
