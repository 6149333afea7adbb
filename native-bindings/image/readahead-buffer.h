/**
 * Read-ahead buffer, as session threads see it: prefetched bytes of an image in memory. Threads answer from them before
 * and while they go to the disk, and report the first read of each unit.
 *
 * An image does not change, so buffered bytes are right whatever the residency table says. Only the life of their
 * memory needs care: a reader pins it, and `release_bytes` waits for its readers.
 */
#pragma once

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "mutex.h"

namespace parentfs::image {

class ReadaheadBuffer {
  /** One range that was fetched together. */
  struct Item {
    std::uint64_t length;
    std::uint64_t unit_bytes;
    /** Bit k: unit k has not been read. */
    std::uint64_t untold;
    /** Its end has not been read. */
    bool end_untold;
    /** Empty once they were let go. */
    std::span<const std::byte> bytes;
    std::atomic<std::uint32_t> readers{0};
  };
  /** By offset; they do not overlap. */
  using Items = std::map<std::uint64_t, std::shared_ptr<Item>>;

 public:
  /** Units of one range: as many as an object has blocks. More units are told with the last one. */
  static constexpr std::uint64_t units_max = 64;
  /** Ranges that one read may touch: more is not for native threads. */
  static constexpr std::size_t parts_max = 4;

  /** A range that was found. As long as it lives, its bytes stay where they are. */
  class Found {
   public:
    Found() = default;
    Found(Found&& other) noexcept;
    Found& operator=(Found&& other) noexcept;
    ~Found() { release(); }

    /** Are all bytes here that were looked for? Then `parts` are they. */
    [[nodiscard]] bool whole() const { return whole_; }
    [[nodiscard]] std::span<const iovec> parts() const { return {parts_.data(), count_}; }
    /** Is the read one that is to be told of? Each is told once. */
    [[nodiscard]] bool news() const { return news_; }

   private:
    friend class ReadaheadBuffer;
    void release();

    std::array<iovec, parts_max> parts_{};
    std::array<std::shared_ptr<Item>, parts_max> items_{};
    std::size_t count_ = 0;
    bool whole_ = false;
    bool news_ = false;
  };

  ~ReadaheadBuffer() { clear(); }

  /** Is nothing here? From any thread, and cheap. */
  [[nodiscard]] bool empty() const { return count_.load(std::memory_order_acquire) == 0; }

  /**
   * Put a range here, which touches no other one.
   * @param unit_bytes the first read of each such unit is told, and the first that comes to the end of the range
   * @param told units of which it is known already, bit by bit
   * @returns false when it is empty, or touches another one
   */
  [[nodiscard]] bool put(std::uint64_t offset, std::span<const std::byte> bytes, std::uint64_t unit_bytes,
                         std::uint64_t told) EXCLUDES(mutex_);
  /**
   * Afterwards the bytes at `offset` are not being read, and never will be; reads of the range are reported as before.
   */
  void release_bytes(std::uint64_t offset) EXCLUDES(mutex_);
  /** The same, and nothing is told any more. */
  void remove(std::uint64_t offset) EXCLUDES(mutex_);
  void clear() EXCLUDES(mutex_);

  /** Look for a read, and note that it is read. */
  [[nodiscard]] Found look(std::uint64_t offset, std::size_t length) EXCLUDES(mutex_);

 private:
  [[nodiscard]] Items::iterator first_touching(std::uint64_t offset) REQUIRES(mutex_);
  /** Without the mutex, once the bytes cannot be found any more. */
  static void wait_for_readers(Item& item);

  std::atomic<std::size_t> count_{0};
  Mutex mutex_;
  Items items_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::image
