/** Read-ahead buffer: its ranges, their readers, and the reports of first reads. */
#include "image/readahead-buffer.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace parentfs::image {

namespace {

/** Bits `first` to `last`, of which those from `units_max` on count as the last one. */
std::uint64_t bits_between(std::uint64_t first, std::uint64_t last) {
  const std::uint64_t from = std::min(first, ReadaheadBuffer::units_max - 1);
  const std::uint64_t count = std::min(last, ReadaheadBuffer::units_max - 1) - from + 1;
  return (~std::uint64_t{0} >> (ReadaheadBuffer::units_max - count)) << from;
}

}  // namespace

ReadaheadBuffer::Found::Found(Found&& other) noexcept
    : parts_(other.parts_),
      items_(std::move(other.items_)),
      count_(std::exchange(other.count_, 0)),
      whole_(std::exchange(other.whole_, false)),
      news_(std::exchange(other.news_, false)) {}

ReadaheadBuffer::Found& ReadaheadBuffer::Found::operator=(Found&& other) noexcept {
  if (this == &other) return *this;
  release();
  parts_ = other.parts_;
  items_ = std::move(other.items_);
  count_ = std::exchange(other.count_, 0);
  whole_ = std::exchange(other.whole_, false);
  news_ = std::exchange(other.news_, false);
  return *this;
}

void ReadaheadBuffer::Found::release() {
  for (std::size_t k = 0; k < count_; k++) {
    if (items_[k]->readers.fetch_sub(1, std::memory_order_release) == 1) items_[k]->readers.notify_all();
    items_[k] = nullptr;
  }
  count_ = 0;
  whole_ = false;
}

ReadaheadBuffer::Items::iterator ReadaheadBuffer::first_touching(std::uint64_t offset) {
  const auto after = items_.upper_bound(offset);
  if (after == items_.begin()) return after;
  const auto before = std::prev(after);
  return before->first + before->second->length > offset ? before : after;
}

bool ReadaheadBuffer::put(std::uint64_t offset, std::span<const std::byte> bytes, std::uint64_t unit_bytes, std::uint64_t told) {
  if (bytes.empty() || unit_bytes == 0) return false;
  const Lock lock(mutex_);
  const auto next = first_touching(offset);
  if (next != items_.end() && next->first < offset + bytes.size()) return false;
  const auto item = std::make_shared<Item>();
  item->length = bytes.size();
  item->unit_bytes = unit_bytes;
  item->untold = bits_between(0, (bytes.size() - 1) / unit_bytes) & ~told;
  item->end_untold = true;
  item->bytes = bytes;
  items_.emplace(offset, item);
  count_.store(items_.size(), std::memory_order_release);
  return true;
}

void ReadaheadBuffer::wait_for_readers(Item& item) {
  for (auto readers = item.readers.load(std::memory_order_acquire); readers != 0;
       readers = item.readers.load(std::memory_order_acquire)) {
    item.readers.wait(readers, std::memory_order_acquire);
  }
}

void ReadaheadBuffer::release_bytes(std::uint64_t offset) {
  std::shared_ptr<Item> item;
  {
    const Lock lock(mutex_);
    const auto found = items_.find(offset);
    if (found == items_.end()) return;
    item = found->second;
    item->bytes = {};
  }
  wait_for_readers(*item);
}

void ReadaheadBuffer::remove(std::uint64_t offset) {
  std::shared_ptr<Item> item;
  {
    const Lock lock(mutex_);
    const auto found = items_.find(offset);
    if (found == items_.end()) return;
    item = std::move(found->second);
    items_.erase(found);
    count_.store(items_.size(), std::memory_order_release);
  }
  wait_for_readers(*item);
}

void ReadaheadBuffer::clear() {
  Items items;
  {
    const Lock lock(mutex_);
    items.swap(items_);
    count_.store(0, std::memory_order_release);
  }
  for (const auto& [offset, item] : items) wait_for_readers(*item);
}

ReadaheadBuffer::Found ReadaheadBuffer::look(std::uint64_t offset, std::size_t length) {
  Found found;
  if (length == 0) return found;
  const std::uint64_t end = offset + length;
  std::uint64_t at = offset;
  const Lock lock(mutex_);
  for (auto next = first_touching(offset); next != items_.end() && next->first < end; ++next) {
    const auto& [begin, item] = *next;
    const std::uint64_t from = std::max(offset, begin) - begin;
    const std::uint64_t to = std::min(end - begin, item->length);
    const std::uint64_t read = bits_between(from / item->unit_bytes, (to - 1) / item->unit_bytes);
    const bool ends = to == item->length;
    found.news_ |= (item->untold & read) != 0 || (ends && item->end_untold);
    item->untold &= ~read;
    item->end_untold &= !ends;
    const bool goes_on = begin + from == at && !item->bytes.empty() && found.count_ < parts_max;
    if (!goes_on) continue;
    item->readers.fetch_add(1, std::memory_order_relaxed);
    found.parts_[found.count_] = {.iov_base = const_cast<std::byte*>(&item->bytes[from]), .iov_len = to - from};
    found.items_[found.count_] = item;
    found.count_++;
    at = begin + to;
  }
  if (at == end) {
    found.whole_ = true;
  } else {
    found.release();
  }
  return found;
}

}  // namespace parentfs::image
