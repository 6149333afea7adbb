/**
 * Leaf cache: the lowest blocks of hash trees that have been proven, those of all images within one bound. The least
 * recently used ones leave first.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "mutex.h"

namespace parentfs::verity {

class LeafCache {
 public:
  using Leaf = std::shared_ptr<const std::vector<std::byte>>;

  explicit LeafCache(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /** A number for the leaves of another image. */
  [[nodiscard]] std::uint64_t next_image() EXCLUDES(mutex_);
  void put(std::uint64_t image, std::uint64_t index, Leaf leaf) EXCLUDES(mutex_);
  /** @returns null for one that is not here */
  [[nodiscard]] Leaf use(std::uint64_t image, std::uint64_t index) EXCLUDES(mutex_);
  void remove(std::uint64_t image) EXCLUDES(mutex_);
  [[nodiscard]] std::size_t bytes() EXCLUDES(mutex_);

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  struct Entry {
    Key key;
    Leaf leaf;
  };

  const std::size_t bytes_max_;
  Mutex mutex_;
  std::uint64_t images_ GUARDED_BY(mutex_) = 0;
  std::size_t bytes_ GUARDED_BY(mutex_) = 0;
  /** The least recently used first. */
  std::list<Entry> entries_ GUARDED_BY(mutex_);
  std::map<Key, std::list<Entry>::iterator> places_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::verity
