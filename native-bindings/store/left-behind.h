/**
 * What a stream of long buffered reads has left behind in the page cache of a data file: the reader has it in that of the
 * mounted file.
 *
 * Asked of each read, and known from it alone: a read that ends in another stretch than it began in has left the one
 * before. That one is spared, for reads of a stream overtake each other.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace parentfs::store {

/** The unit in which pages go: the largest that Linux reads ahead in at once (a folio of PMD size), in bytes. */
inline constexpr std::uint64_t stretch_bytes = std::uint64_t{2} * 1024 * 1024;

/**
 * A buffered read of this length, in bytes, belongs to a stream: as much as the kernel asks a mount for when it reads ahead.
 * Source: Linux include/linux/pagemap.h, VM_READAHEAD_PAGES.
 */
inline constexpr std::size_t stream_read_bytes_min = std::size_t{128} * 1024;

/** @returns where the stretch begins that a stream which has read [offset, offset + length) needs no more */
inline std::optional<std::uint64_t> left_behind(std::uint64_t offset, std::size_t length) {
  const std::uint64_t now = (offset + length) / stretch_bytes;
  if (offset / stretch_bytes == now || now < 2) return std::nullopt;
  return (now - 2) * stretch_bytes;
}

}  // namespace parentfs::store
