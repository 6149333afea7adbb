/**
 * What was fetched ahead of readers, as native threads see it: bytes of an image in memory, which they answer from before and while
 * these go to the disk, and ranges of which it is to be told that somebody reads them.
 *
 * An image does not change, so bytes on the shelf are right whatever the residency table says. All that has to be taken care of is
 * how long their memory is there: whoever reads them has them pinned, and `release_bytes` waits for who does.
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
    /** Bit k: nobody has read of unit k. */
    std::uint64_t untold;
    /** Nobody has come to its end. */
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

  /** What a look found. As long as it lives, the bytes in it stay where they are. */
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
  /** Nobody reads the bytes at `offset` when it returns, or ever again; reads of the range are told as before. */
  void release_bytes(std::uint64_t offset) EXCLUDES(mutex_);
  /** The same, and nothing is told any more. */
  void remove(std::uint64_t offset) EXCLUDES(mutex_);
  void clear() EXCLUDES(mutex_);

  /** Look for a read, and note that it is read. */
  [[nodiscard]] Found look(std::uint64_t offset, std::size_t length) EXCLUDES(mutex_);

 private:
  [[nodiscard]] Items::iterator first_touching(std::uint64_t offset) REQUIRES(mutex_);
  /** Without the mutex, once nobody finds the bytes any more. */
  static void wait_for_readers(Item& item);

  std::atomic<std::size_t> count_{0};
  Mutex mutex_;
  Items items_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::image
