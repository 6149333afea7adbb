/**
 * Unit permits: the stretches of an image that session threads may read at its origin by themselves, a bit each.
 * TypeScript sets and clears them; a thread looks before it claims a block. Stretches are whole blocks.
 *
 * Bit order: unit k is bit k % 8 of byte k / 8, the lowest bit first. A read that began before a permit went ends as it
 * began.
 */
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "image/origin-reader.h"

namespace parentfs::image {

class UnitPermits {
 public:
  /** Nothing is permitted at the beginning. */
  UnitPermits(std::uint64_t unit_bytes, std::uint64_t units)
      : unit_bytes_(unit_bytes), units_(units), words_(std::make_unique<std::atomic<std::uint64_t>[]>(words())) {}

  [[nodiscard]] std::uint64_t units() const { return units_; }

  /** These permits alone; units beyond `bits` have none. */
  void replace(std::span<const std::byte> bits) {
    for (std::uint64_t word = 0; word < words(); word++) {
      std::uint64_t value = 0;
      for (std::uint64_t k = 0; k < 8 && word * 8 + k < bits.size(); k++) {
        value |= std::to_integer<std::uint64_t>(bits[word * 8 + k]) << (8 * k);
      }
      words_[word].store(value, std::memory_order_release);
    }
  }
  void permit(std::uint64_t unit) {
    if (unit < units_) words_[unit / 64].fetch_or(std::uint64_t{1} << (unit % 64), std::memory_order_release);
  }

  /** Is each unit of a range permitted? Never of one that goes beyond them. */
  [[nodiscard]] bool cover(std::uint64_t offset, std::uint64_t length) const {
    const std::uint64_t last = (offset + (length == 0 ? 0 : length - 1)) / unit_bytes_;
    if (last >= units_) return false;
    for (std::uint64_t unit = offset / unit_bytes_; unit <= last; unit++) {
      const std::uint64_t word = words_[unit / 64].load(std::memory_order_acquire);
      if ((word >> (unit % 64) & 1) == 0) return false;
    }
    return true;
  }

 private:
  [[nodiscard]] std::uint64_t words() const { return units_ / 64 + 1; }

  const std::uint64_t unit_bytes_;
  const std::uint64_t units_;
  const std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
};

/** A reader that asks for permitted units alone. */
class PermittedReader final : public OriginReader {
 public:
  PermittedReader(std::shared_ptr<OriginReader> reader, std::shared_ptr<const UnitPermits> permits)
      : reader_(std::move(reader)), permits_(std::move(permits)) {}

  [[nodiscard]] bool may_read(std::uint64_t offset, std::size_t length) const override {
    return permits_->cover(offset, length) && reader_->may_read(offset, length);
  }
  bool read(std::uint64_t offset, std::span<std::byte> target, Done done) override {
    return permits_->cover(offset, target.size()) && reader_->read(offset, target, std::move(done));
  }

 private:
  const std::shared_ptr<OriginReader> reader_;
  const std::shared_ptr<const UnitPermits> permits_;
};

}  // namespace parentfs::image
