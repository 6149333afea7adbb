/** Offers by file and object. */
#include "serving/sendable-objects.h"

#include <string_view>

namespace parentfs::serving {

namespace {

using residency::blocks_per_object;

/** As src/fleet/wire/wire.ts has them: eight hexadecimal digits each, separated by commas. */
void append_sum(std::string& text, std::uint32_t sum) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (!text.empty()) text.push_back(',');
  for (int shift = 28; shift >= 0; shift -= 4) text.push_back(digits[(sum >> shift) & 15U]);
}

/** Whole blocks of one object; the last block of an image is whole where the range reaches the end. */
bool is_of_blocks(const residency::Geometry& geometry, std::uint64_t first, std::uint64_t last) {
  const std::uint64_t end = last + 1;
  return first % geometry.block_bytes() == 0 && (end % geometry.block_bytes() == 0 || end == geometry.size_bytes()) &&
         geometry.object_of(first) == geometry.object_of(last);
}

}  // namespace

void SendableObjects::offer(const std::shared_ptr<image::DataFile>& file, std::uint64_t object, Offer offer) {
  const Lock lock(mutex_);
  const Key key(file.get(), object);
  const auto [place, is_new] = offers_.try_emplace(key);
  Owned& own = place->second;
  const bool is_same = !is_new && own.file.lock() == file && own.offer.generation == offer.generation;
  if (is_same && offer.known == 0) {
    own.offer.until = offer.until;
    return;
  }
  own = {.file = file, .offer = offer};
  if (!is_new) return;
  order_.push_back(key);
  if (order_.size() <= most_) return;
  offers_.erase(order_.front());
  order_.pop_front();
}

const Offer* SendableObjects::find(const image::DataFile& file, std::uint64_t object) const {
  const auto found = offers_.find(Key(&file, object));
  // The caller holds `file`: an owner that is gone was another one at the same address.
  return found == offers_.end() || found->second.file.expired() ? nullptr : &found->second.offer;
}

bool SendableObjects::covers(const image::DataFile& file, std::uint64_t first, std::uint64_t last,
                             Clock::time_point now,
                            std::string* sums) const {
  const auto& geometry = file.geometry();
  if (last >= geometry.size_bytes() || first > last) return false;
  if (sums != nullptr && !is_of_blocks(geometry, first, last)) return false;
  const Lock lock(mutex_);
  for (std::uint64_t object = geometry.object_of(first); object <= geometry.object_of(last); object++) {
    const Offer* offer = find(file, object);
    const std::uint64_t needed = geometry.touched(object, first, last);
    if (offer == nullptr || now > offer->until || offer->generation != file.table()->generation(object).load()) return false;
    if ((file.table()->resident(object).load() & needed) != needed) return false;
    if (sums == nullptr) continue;
    if ((offer->known & needed) != needed) return false;
    for (std::uint32_t block = 0; block < blocks_per_object; block++) {
      if (((needed >> block) & 1U) != 0) append_sum(*sums, offer->sums.at(block));
    }
  }
  return true;
}

}  // namespace parentfs::serving
