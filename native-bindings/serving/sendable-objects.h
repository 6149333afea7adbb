/**
 * Sendable objects: those that TypeScript has offered, so that native threads may send them to other hosts, with the
 * checksums of their blocks. An offer ends with the generation of its object, so that an eviction takes it back, and
 * after a time.
 */
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "image/data-file.h"
#include "mutex.h"

namespace parentfs::serving {

struct Offer {
  std::uint32_t generation = 0;
  /** Blocks whose checksum is in `sums`. */
  std::uint64_t known = 0;
  image::Sums sums{};
  std::chrono::steady_clock::time_point until;
};

class SendableObjects {
 public:
  using Clock = std::chrono::steady_clock;

  explicit SendableObjects(std::size_t most) : most_(most) {}

  /** Checksums of an earlier offer in the same generation stay. The oldest offers make room. */
  void offer(const std::shared_ptr<image::DataFile>& file, std::uint64_t object, Offer offer) EXCLUDES(mutex_);

  /**
   * Is all of a range offered and resident now?
   * @param sums null: they are not wanted; else the text of those of its blocks, which are whole ones of one object
   */
  [[nodiscard]] bool covers(const image::DataFile& file, std::uint64_t first, std::uint64_t last, Clock::time_point now,
                            std::string* sums) const EXCLUDES(mutex_);

 private:
  using Key = std::pair<const image::DataFile*, std::uint64_t>;
  struct HashOfKey {
    std::size_t operator()(const Key& key) const {
      return std::hash<const void*>{}(key.first) ^ (std::hash<std::uint64_t>{}(key.second) * 0x9E3779B97F4A7C15ULL);
    }
  };
  /** Another file may come to lie at the same address. */
  struct Owned {
    std::weak_ptr<const image::DataFile> file;
    Offer offer;
  };

  [[nodiscard]] const Offer* find(const image::DataFile& file, std::uint64_t object) const REQUIRES(mutex_);

  const std::size_t most_;
  mutable Mutex mutex_;
  std::unordered_map<Key, Owned, HashOfKey> offers_ GUARDED_BY(mutex_);
  /** In their order of coming. */
  std::deque<Key> order_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::serving
