/**
 * Samples of reads that session threads answer, on their way to TypeScript: which objects of a spatial sample were read, and which blocks of them.
 *
 * One ring a session thread: the thread appends, the main thread takes, and nobody locks. Reads of an object that still
 * waits here are added to its entry, so that a hot object costs an entry a taking, not one a read. A full ring drops.
 * Reads that are added while their entry is being taken are lost.
 */
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "residency/geometry.h"

namespace parentfs::session {

/**
 * Place of an object in the sample: 32 well-mixed bits. src/cache/plan/sample-hash.ts has the same.
 * Source: Austin Appleby, MurmurHash3, fmix32 (public domain).
 */
inline std::uint32_t sample_hash(std::uint32_t file, std::uint64_t object) {
  std::uint32_t hash = static_cast<std::uint32_t>(object) ^ (file * 0x9e3779b1U);
  hash = (hash ^ (hash >> 16)) * 0x85ebca6bU;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35U;
  return hash ^ (hash >> 16);
}

class UseSamples {
 public:
  /** Objects that wait at most: 200 KiB a thread. */
  static constexpr std::size_t entries_max = 8192;

  struct Sample {
    std::uint32_t file;
    std::uint32_t object;
    std::uint64_t blocks;
    std::uint32_t reads;
  };

  /** A range was read that is not empty and lies within the image. Of one thread. @param below 2^32 - 1 samples all */
  void add(std::uint32_t file, const residency::Geometry& geometry, std::uint64_t offset, std::uint64_t length,
           std::uint32_t below) {
    const std::uint64_t last = offset + length - 1;
    for (std::uint64_t object = geometry.object_of(offset); object <= geometry.object_of(last); object++) {
      const std::uint32_t hash = sample_hash(file, object);
      if (hash < below) append(file, static_cast<std::uint32_t>(object), hash, geometry.touched(object, offset, last));
    }
  }

  /** Append all that wait to `into`. Of one thread, another one. */
  void take(std::vector<Sample>& into) {
    const std::uint64_t end = tail_.load(std::memory_order_acquire);
    taken_.store(end, std::memory_order_release);
    for (std::uint64_t at = head_.load(std::memory_order_relaxed); at < end; at++) {
      const Slot& slot = slots_[at % entries_max];
      const std::uint64_t id = slot.id.load(std::memory_order_relaxed);
      into.push_back({.file = static_cast<std::uint32_t>(id >> 32),
                      .object = static_cast<std::uint32_t>(id),
                      .blocks = slot.blocks.load(std::memory_order_relaxed),
                      .reads = slot.reads.load(std::memory_order_relaxed)});
    }
    head_.store(end, std::memory_order_release);
  }

  /** Objects that found no room. Any thread may ask. */
  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct Slot {
    std::atomic<std::uint64_t> id{0};
    std::atomic<std::uint64_t> blocks{0};
    std::atomic<std::uint32_t> reads{0};
  };

  void append(std::uint32_t file, std::uint32_t object, std::uint32_t hash, std::uint64_t blocks) {
    const std::uint64_t id = (std::uint64_t{file} << 32) | object;
    std::uint64_t& known = recent_[hash % recent_.size()];
    if (known > taken_.load(std::memory_order_acquire)) {
      Slot& slot = slots_[(known - 1) % entries_max];
      if (slot.id.load(std::memory_order_relaxed) == id) {
        // Written by this thread alone: no locked instruction.
        slot.blocks.store(slot.blocks.load(std::memory_order_relaxed) | blocks, std::memory_order_relaxed);
        slot.reads.store(slot.reads.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        return;
      }
    }
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) >= entries_max) {
      dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return;
    }
    Slot& slot = slots_[tail % entries_max];
    slot.id.store(id, std::memory_order_relaxed);
    slot.blocks.store(blocks, std::memory_order_relaxed);
    slot.reads.store(1, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);
    known = tail + 1;
  }

  std::vector<Slot> slots_{entries_max};
  /** Of the appending thread: the entry of the object that was read last of each place, counted from 1; 0: none. */
  std::array<std::uint64_t, 1024> recent_{};
  std::atomic<std::uint64_t> tail_{0};
  // A cache line of its own for the words that the other thread writes.
  alignas(64) std::atomic<std::uint64_t> head_{0};
  std::atomic<std::uint64_t> taken_{0};
  alignas(64) std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace parentfs::session
