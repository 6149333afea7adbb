/**
 * Bypassed pages: units of a data file that long streams have written, or left behind, past the page cache. The first
 * random reader of a unit brings all of it back, in place of page after page with a wait for the disk each.
 *
 * A unit comes back once for each time that it was bypassed. So random readers bring no more into memory than a stream
 * through the page cache would have left there.
 */
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace parentfs::image {

/** Bypassed units of a file: one bit each, and no memory as long as there is none. From any thread. */
class BypassedPages {
 public:
  /** Bytes of a unit: a disk that gives a page in 0.1 ms gives them in about twice that. */
  static constexpr std::uint64_t unit_bytes = std::uint64_t{64} * 1024;

  explicit BypassedPages(std::uint64_t size_bytes) : units_(size_bytes / unit_bytes + 1) {}
  BypassedPages(const BypassedPages&) = delete;
  BypassedPages& operator=(const BypassedPages&) = delete;
  ~BypassedPages() { std::free(words_.load(std::memory_order_relaxed)); }

  /** Each unit that a range touches; none where there is no memory. */
  void add(std::uint64_t offset, std::uint64_t length) {
    std::uint64_t* const words = made();
    const std::uint64_t end = std::min(units_, (offset + length + unit_bytes - 1) / unit_bytes);
    for (std::uint64_t unit = offset / unit_bytes; words != nullptr && unit < end; unit++) {
      std::atomic_ref(words[unit / 64]).fetch_or(bit(unit), std::memory_order_relaxed);
    }
  }

  /** @returns true for one caller, of a unit that is bypassed: it is so no more */
  [[nodiscard]] bool take(std::uint64_t offset) {
    const std::uint64_t unit = offset / unit_bytes;
    std::uint64_t* const words = words_.load(std::memory_order_acquire);
    if (words == nullptr || unit >= units_) return false;
    const std::atomic_ref word(words[unit / 64]);
    if ((word.load(std::memory_order_relaxed) & bit(unit)) == 0) return false;
    return (word.fetch_and(~bit(unit), std::memory_order_relaxed) & bit(unit)) != 0;
  }

 private:
  static std::uint64_t bit(std::uint64_t unit) { return std::uint64_t{1} << (unit % 64); }

  std::uint64_t* made() {
    std::uint64_t* words = words_.load(std::memory_order_acquire);
    if (words != nullptr) return words;
    auto* const fresh = static_cast<std::uint64_t*>(std::calloc(units_ / 64 + 1, sizeof(std::uint64_t)));
    if (fresh != nullptr && words_.compare_exchange_strong(words, fresh, std::memory_order_acq_rel)) return fresh;
    std::free(fresh);
    return words;
  }

  std::uint64_t units_;
  std::atomic<std::uint64_t*> words_{nullptr};
};

}  // namespace parentfs::image
