/**
 * Reports of READs that were answered without TypeScript, on their way to it: the side channel of a session, beside the
 * queue of requests. This file alone writes their format, and src/fuse/kernel/read-reports.ts alone reads it. Both are of
 * one process, so the format may change with any version.
 */
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "mutex.h"

namespace parentfs::session {

/** Bytes of an image, by the handle that the session has them under. */
struct ReadRange {
  std::uint64_t fh;
  std::uint64_t offset;
  std::size_t length;
};

class ReadReports {
 public:
  /** One report as it lies in a batch: a multiple of 8 bytes, and so is what follows it. Numbers as the machine has them. */
  struct Record {
    std::uint32_t kind;
    /** Of the range. */
    std::uint32_t length;
    std::uint64_t fh;
    std::uint64_t offset;
    /** The time that the origin took; 0 where there is none yet. */
    std::uint64_t microseconds;
  };
  static_assert(sizeof(Record) == 32);

  /** A range of the read-ahead buffer is read, answered from there or not. */
  static constexpr std::uint32_t buffer_touched = 1;
  /** A READ waits for bytes of the origin. */
  static constexpr std::uint32_t origin_read_begun = 2;
  /** One whose begin was reported was answered. */
  static constexpr std::uint32_t origin_read_done = 3;
  /** Both at once, of a near origin: one call for a READ is enough there. */
  static constexpr std::uint32_t origin_read = 4;

  /** Bytes that wait at most, and those of the READs that the origin has then: a consumer that hangs gets no more. */
  static constexpr std::size_t waiting_bytes_max = std::size_t{1024} * 1024;

  /**
   * @returns whether the consumer has to be called: true once until `take`, and once more when something urgent comes
   * after what is not
   */
  [[nodiscard]] bool add(std::uint32_t kind, const ReadRange& read, std::chrono::nanoseconds took = {}) EXCLUDES(mutex_) {
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    const Record record{.kind = kind,
                        .length = static_cast<std::uint32_t>(read.length),
                        .fh = read.fh,
                        .offset = read.offset,
                        .microseconds = static_cast<std::uint64_t>(microseconds)};
    const Lock lock(mutex_);
    const std::size_t at = waiting_.size();
    waiting_.resize(at + sizeof record);
    std::memcpy(&waiting_[at], &record, sizeof record);
    const bool is_urgent = kind == buffer_touched || kind == origin_read_begun;
    const bool was_urgent = std::exchange(urgent_, urgent_ || is_urgent);
    return !std::exchange(armed_, true) || (is_urgent && !was_urgent);
  }

  [[nodiscard]] bool empty() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    return waiting_.empty();
  }

  /** Is one of them of use only at once, to a prediction? The others may wait, and come together. */
  [[nodiscard]] bool urgent() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    return urgent_;
  }

  /** Does so much wait that nothing more should be done of which is to be reported? */
  [[nodiscard]] bool full() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    return waiting_.size() > waiting_bytes_max;
  }

  /** All reports since the last call, in order. */
  [[nodiscard]] std::vector<std::byte> take() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    armed_ = urgent_ = false;
    return std::exchange(waiting_, {});
  }

 private:
  Mutex mutex_;
  std::vector<std::byte> waiting_ GUARDED_BY(mutex_);
  bool armed_ GUARDED_BY(mutex_) = false;
  bool urgent_ GUARDED_BY(mutex_) = false;
};

}  // namespace parentfs::session
