/**
 * The one way in which native code reads a data file: claim, read, and look whether the claim still holds.
 *
 * Session threads, store threads and StoreFile.read all come through here. Too few bytes, an error and a claim that no
 * longer holds are a miss: then nothing in the target may be used.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "residency/seqlock-read.h"

namespace parentfs::image {

enum class ReadOutcome {
  hit,
  /** Resident, but only a read that may wait for the disk could tell more. */
  would_wait,
  miss,
};

/**
 * Read `target.size()` bytes (at most `claim_bytes_max`) at `offset` under the reader's protocol.
 *
 * @param read_bytes `std::size_t (std::uint64_t offset, std::span<std::byte> target)`: how many bytes it got
 * @param short_means what it means when those are fewer than asked for
 */
template <class ReadBytes>
ReadOutcome read_resident(const residency::Table& table, const residency::Geometry& geometry, std::uint64_t offset,
                          std::span<std::byte> target, std::uint32_t tick, ReadOutcome short_means,
                          ReadBytes&& read_bytes) {
  if (!geometry.contains(offset, target.size()) || target.size() > residency::claim_bytes_max) return ReadOutcome::miss;
  if (target.empty()) return ReadOutcome::hit;
  const residency::SeqlockRead claim(table, geometry, offset, target.size());
  if (!claim.whole()) return ReadOutcome::miss;
  if (read_bytes(offset, target) != target.size()) return short_means;
  if (!claim.holds()) return ReadOutcome::miss;
  claim.touch(tick);
  return ReadOutcome::hit;
}

}  // namespace parentfs::image
