/**
 * In-flight table of one image: the one place that says which blocks are being brought, so that each is fetched once,
 * whether a session thread, a prefetch or a promotion wanted it.
 *
 * A bit of `claimed` is set by whoever brings the block: TypeScript (src/cache/fetch/inflight-table.ts) or a native fetch
 * here. It goes when the block is in the store, or was dropped. The orders that make this right:
 *
 *  - A promotion publishes a block **before** its claim goes; a session thread claims **before** it looks at the
 *    published blocks again. So nobody fetches what came into the store meanwhile.
 *  - Bytes are right whatever the table says, because an image does not change: a lost race costs a fetch, no byte.
 */
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "image/inflight-fetch.h"
#include "image/origin-reader.h"
#include "mutex.h"
#include "residency/geometry.h"
#include "residency/table.h"
#include "result.h"

namespace parentfs::image {

class MissEngine;

class InflightTable : public std::enable_shared_from_this<InflightTable> {
 public:
  /** Memory that TypeScript shares, one an object. */
  struct Claims {
    /** Bit k: block k is on its way. */
    std::uint64_t claimed;
    /** Bit k: block k was recorded before this start and is not verified yet. TypeScript alone changes it. */
    std::uint64_t unverified;
  };
  static_assert(sizeof(Claims) == sizeof(residency::Entry));

  /** Longest stretch of blocks that is fetched for a read, in bytes. */
  static constexpr std::size_t fetch_bytes_max = std::size_t{1024} * 1024;

  enum class Outcome {
    /** The fetches are under way, or here: `done` is called, or was. */
    waiting,
    /** It is to be read by TypeScript. */
    elsewhere,
  };

  /** EFBIG as for a residency table. */
  static Result<std::shared_ptr<InflightTable>> make(std::shared_ptr<MissEngine> engine,
                                                     std::shared_ptr<residency::Table> residency,
                                                     const residency::Geometry& geometry);
  InflightTable(std::shared_ptr<MissEngine> engine, std::shared_ptr<residency::Table> residency,
                std::shared_ptr<residency::Table> claims, const residency::Geometry& geometry);

  /** The number of its file: reports name it, and no other file of the process has it. */
  [[nodiscard]] std::uint32_t number() const { return number_; }
  /** The memory of all `Claims`. */
  [[nodiscard]] const std::shared_ptr<residency::Table>& memory() const { return claims_; }

  /**
   * Did the last fetch take so long that a prediction made at its begin is worth a call? Also as long as there was none.
   */
  [[nodiscard]] bool is_far() const { return is_far_.load(std::memory_order_relaxed); }
  static constexpr std::chrono::milliseconds far_latency{1};
  /** The origin that is asked; null for none. Fetches that are under way go on. */
  void set_origin(std::shared_ptr<OriginReader> origin) EXCLUDES(mutex_);
  [[nodiscard]] bool has_origin() const { return has_origin_.load(std::memory_order_acquire); }

  /** Bring what is missing of a range within the image, joining what is under way. */
  [[nodiscard]] Outcome fetch(std::uint64_t offset, std::size_t length, FetchWaiter::Done done) EXCLUDES(mutex_);
  /** For TypeScript: the fetches that touch `blocks`, each of which is reported from now on however it ends. */
  [[nodiscard]] std::vector<std::shared_ptr<InflightFetch>> join(std::uint64_t object, std::uint64_t blocks)
      EXCLUDES(mutex_);
  /** The blocks of an object that native fetches are bringing, or have brought and TypeScript has not released. */
  [[nodiscard]] std::uint64_t coming(std::uint64_t object) EXCLUDES(mutex_);
  /** For TypeScript: the blocks of a fetch that is here are in the store, or were dropped. Idempotent. */
  void release(const std::shared_ptr<InflightFetch>& fetch) EXCLUDES(mutex_);
  /** A fetch has ended; also one that is given up, whose answer may come later. Once. */
  void over(const std::shared_ptr<InflightFetch>& fetch, bool right) EXCLUDES(mutex_);

 private:
  using Fetches = std::vector<std::shared_ptr<InflightFetch>>;

  [[nodiscard]] std::atomic_ref<std::uint64_t> claimed(std::uint64_t object) const { return claims_->resident(object); }
  [[nodiscard]] std::uint64_t unverified(std::uint64_t object) const;
  /** Make a fetch of each run of `blocks`. @returns false, and nothing is made, without room for all */
  [[nodiscard]] bool make_fetches(std::uint64_t object, std::uint64_t blocks, Fetches& made) REQUIRES(mutex_);
  void start(OriginReader& origin, const std::shared_ptr<InflightFetch>& fetch) EXCLUDES(mutex_);
  /** @returns whether it was there */
  bool erase(const InflightFetch& fetch) REQUIRES(mutex_);

  const std::shared_ptr<MissEngine> engine_;
  const std::shared_ptr<residency::Table> residency_;
  const std::shared_ptr<residency::Table> claims_;
  const residency::Geometry geometry_;
  const std::uint32_t number_;
  std::atomic<bool> has_origin_{false};
  std::atomic<bool> is_far_{true};
  Mutex mutex_;
  std::shared_ptr<OriginReader> origin_ GUARDED_BY(mutex_);
  std::unordered_map<std::uint64_t, Fetches> by_object_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::image
