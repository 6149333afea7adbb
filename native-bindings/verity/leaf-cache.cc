/** The leaves of trees in memory. */
#include "verity/leaf-cache.h"

namespace parentfs::verity {

std::uint64_t LeafCache::next_image() {
  const Lock lock(mutex_);
  return ++images_;
}

void LeafCache::put(std::uint64_t image, std::uint64_t index, Leaf leaf) {
  const Lock lock(mutex_);
  const Key key{image, index};
  if (places_.contains(key)) return;
  bytes_ += leaf->size();
  places_[key] = entries_.insert(entries_.end(), Entry{.key = key, .leaf = std::move(leaf)});
  while (bytes_ > bytes_max_ && entries_.size() > 1) {
    bytes_ -= entries_.front().leaf->size();
    places_.erase(entries_.front().key);
    entries_.pop_front();
  }
}

LeafCache::Leaf LeafCache::use(std::uint64_t image, std::uint64_t index) {
  const Lock lock(mutex_);
  const auto found = places_.find({image, index});
  if (found == places_.end()) return nullptr;
  entries_.splice(entries_.end(), entries_, found->second);
  return found->second->leaf;
}

void LeafCache::remove(std::uint64_t image) {
  const Lock lock(mutex_);
  auto place = places_.lower_bound({image, 0});
  while (place != places_.end() && place->first.first == image) {
    bytes_ -= place->second->leaf->size();
    entries_.erase(place->second);
    place = places_.erase(place);
  }
}

std::size_t LeafCache::bytes() {
  const Lock lock(mutex_);
  return bytes_;
}

}  // namespace parentfs::verity
