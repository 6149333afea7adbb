/**
 * Grant: what session threads may take of one origin by themselves: so many reads at once, and of an origin with rates
 * a ration of reads and bytes. TypeScript lowers and raises the first, and refills the second ahead.
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

class Grant {
 public:
  /** Rations are empty at the beginning. */
  Grant(bool has_reads_ration, bool has_bytes_ration) : reads_(has_reads_ration), bytes_(has_bytes_ration) {}

  /**
   * So many reads at once from now on: those that are under way end as they began.
   * @returns reads that are under way, or may just be beginning
   */
  std::uint32_t limit(std::uint32_t reads_max) {
    // Sequentially consistent with begin(): either this sees the read, or that sees the new limit.
    reads_max_.store(reads_max);
    return under_way_.load();
  }

  struct Rations {
    std::uint64_t reads;
    std::uint64_t bytes;
  };
  /** Fill rations that have less than this up to it. @returns what was added */
  Rations refill(const Rations& full) { return {.reads = reads_.refill(full.reads), .bytes = bytes_.refill(full.bytes)}; }

  [[nodiscard]] bool begin(std::size_t bytes) {
    if (under_way_.fetch_add(1) < reads_max_.load()) {
      if (reads_.take(1)) {
        if (bytes_.take(bytes)) return true;
        reads_.give_back(1);
      }
    }
    end();
    return false;
  }
  /** A read that was begun is over. */
  void end() { under_way_.fetch_sub(1); }
  /** It was not asked for. */
  void give_back(std::size_t bytes) {
    bytes_.give_back(bytes);
    reads_.give_back(1);
    end();
  }

 private:
  class Ration {
   public:
    explicit Ration(bool is_limited) : is_limited_(is_limited) {}

    bool take(std::uint64_t amount) {
      if (!is_limited_) return true;
      auto left = left_.load(std::memory_order_relaxed);
      while (left >= amount) {
        if (left_.compare_exchange_weak(left, left - amount, std::memory_order_relaxed)) return true;
      }
      return false;
    }
    void give_back(std::uint64_t amount) {
      if (is_limited_) left_.fetch_add(amount, std::memory_order_relaxed);
    }
    std::uint64_t refill(std::uint64_t full) {
      if (!is_limited_) return 0;
      auto left = left_.load(std::memory_order_relaxed);
      while (left < full) {
        if (left_.compare_exchange_weak(left, full, std::memory_order_relaxed)) return full - left;
      }
      return 0;
    }

   private:
    const bool is_limited_;
    std::atomic<std::uint64_t> left_{0};
  };

  std::atomic<std::uint32_t> under_way_{0};
  std::atomic<std::uint32_t> reads_max_{0};
  Ration reads_;
  Ration bytes_;
};

/** A reader that asks as much as its origin's grant allows. */
class GrantedReader final : public OriginReader {
 public:
  GrantedReader(std::shared_ptr<OriginReader> reader, std::shared_ptr<Grant> grant)
      : reader_(std::move(reader)), grant_(std::move(grant)) {}

  [[nodiscard]] bool may_read(std::uint64_t offset, std::size_t length) const override {
    return reader_->may_read(offset, length);
  }
  bool read(std::uint64_t offset, std::span<std::byte> target, Done done) override {
    if (!grant_->begin(target.size())) return false;
    const bool is_asked = reader_->read(offset, target, [grant = grant_, done = std::move(done)](bool right) {
      grant->end();
      done(right);
    });
    if (!is_asked) grant_->give_back(target.size());
    return is_asked;
  }

 private:
  const std::shared_ptr<OriginReader> reader_;
  const std::shared_ptr<Grant> grant_;
};

}  // namespace parentfs::image
