/**
 * Object entries: the answers to LOOKUP of objects, so that a first open needs no JavaScript. TypeScript gives one
 * answer for each image; those of its objects differ in node id, inode number and size alone.
 */
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>

#include "mutex.h"
#include "wire/object-node.h"

namespace parentfs::session {

class ObjectEntries {
 public:
  /** sizeof(struct fuse_entry_out). */
  static constexpr std::size_t entry_bytes = 128;
  using Entry = std::array<std::byte, entry_bytes>;

  /** @param image as in wire::ObjectNode. @param entry of any of its objects */
  void set(std::uint64_t image, std::uint64_t size_bytes, const Entry& entry) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    images_.insert_or_assign(image, Image{.size_bytes = size_bytes, .entry = entry});
  }

  void remove(std::uint64_t image) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    images_.erase(image);
  }

  /**
   * The answer for a name.
   * @param name ends with a 0
   * @returns nothing where TypeScript has to say
   */
  [[nodiscard]] std::optional<Entry> find(std::span<const std::byte> name) const EXCLUDES(mutex_) {
    if (name.size() != digits + 1 || name.back() != std::byte{0}) return std::nullopt;
    const std::string_view text(reinterpret_cast<const char*>(name.data()), digits);
    // Names are lower case alone: another spelling would be another file with the same bytes.
    if (text.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
    std::uint64_t node_id = 0;
    std::from_chars(text.begin(), text.end(), node_id, 16);
    const auto node = wire::ObjectNode::of(node_id);
    const Lock lock(mutex_);
    const auto found = images_.find(node.image);
    if (found == images_.end() || node.offset() >= found->second.size_bytes) return std::nullopt;
    Entry entry = found->second.entry;
    const std::uint64_t bytes = std::min(node.bytes(), found->second.size_bytes - node.offset());
    put(entry, 0, node_id);
    put(entry, attributes_at, node_id & ~(std::uint64_t{1} << 63U));
    put(entry, attributes_at + 8, bytes);
    put(entry, attributes_at + 16, (bytes + 511) / 512);
    return entry;
  }

 private:
  struct Image {
    std::uint64_t size_bytes;
    Entry entry;
  };
  static constexpr std::size_t digits = 16;
  /** Of struct fuse_attr in struct fuse_entry_out: ino, size, blocks. Source: Linux include/uapi/linux/fuse.h. */
  static constexpr std::size_t attributes_at = 40;

  static void put(Entry& entry, std::size_t at, std::uint64_t value) { std::memcpy(&entry[at], &value, sizeof value); }

  mutable Mutex mutex_;
  std::unordered_map<std::uint64_t, Image> images_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::session
