/**
 * Drop-behind: the pages that a stream of long buffered reads has left in the page cache of a data file. The reader has
 * them in that of the mounted file.
 *
 * A stream is seen by the end of its last read, because the kernel asks for as much when it reads ahead of a random
 * reader. A read that ends in another stretch than it began in has left the one before. That one is spared, because
 * reads of a stream overtake each other.
 */
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "disk/disk-file.h"

namespace parentfs::image {

/** The unit in which pages go: the largest that Linux reads ahead in at once (a folio of PMD size), in bytes. */
inline constexpr std::uint64_t stretch_bytes = std::uint64_t{2} * 1024 * 1024;

/**
 * A stream reads at least this much at once, in bytes: as much as the kernel asks a mount for when it reads ahead.
 * Source: Linux include/linux/pagemap.h, VM_READAHEAD_PAGES.
 */
inline constexpr std::size_t stream_read_bytes_min = std::size_t{128} * 1024;

/**
 * The distance by which reads of one stream overtake each other, in bytes: the kernel has two of these under way ahead
 * of a reader.
 */
inline constexpr std::uint64_t stream_disorder_bytes = 8 * stream_read_bytes_min;

/**
 * The end of the last long buffered read of a file. Streams that alternate are not seen as such: their pages go at
 * once.
 */
class DropBehind {
 public:
  /** The fate of the pages of a buffered read. From any thread. */
  disk::Pages pages_of(std::uint64_t offset, std::size_t length) {
    if (length < stream_read_bytes_min) return disk::Pages::drop;
    const std::uint64_t end = end_.exchange(offset + length, std::memory_order_relaxed);
    const bool goes_on = offset + stream_disorder_bytes >= end && offset <= end + stream_disorder_bytes;
    return goes_on ? disk::Pages::drop_behind : disk::Pages::drop;
  }

 private:
  std::atomic<std::uint64_t> end_{0};
};

/** @returns where the stretch begins that a stream which has read [offset, offset + length) needs no more */
inline std::optional<std::uint64_t> drop_behind(std::uint64_t offset, std::size_t length) {
  const std::uint64_t now = (offset + length) / stretch_bytes;
  if (offset / stretch_bytes == now || now < 2) return std::nullopt;
  return (now - 2) * stretch_bytes;
}

}  // namespace parentfs::image
