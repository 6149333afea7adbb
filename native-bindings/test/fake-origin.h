/**
 * An origin that answers when a test tells it to.
 */
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <span>
#include <utility>

#include "image/origin-reader.h"
#include "mutex.h"
#include "test/images.h"

namespace parentfs::test {

class FakeOrigin final : public image::OriginReader {
 public:
  struct Asked {
    std::uint64_t offset;
    std::span<std::byte> target;
    Done done;
  };

  bool read(std::uint64_t offset, std::span<std::byte> target, Done done) override {
    const Lock lock(mutex_);
    if (closed_) return false;
    asked_.push_back({.offset = offset, .target = target, .done = std::move(done)});
    return true;
  }

  /** From now on it cannot be asked. */
  void close() {
    const Lock lock(mutex_);
    closed_ = true;
  }

  /** The oldest that was asked, once there is one. */
  Asked next(Checks& t) {
    Asked asked{};
    CHECK(until([&] { return take(asked); }));
    return asked;
  }

  /** @returns false when nothing was asked */
  bool take(Asked& asked) {
    const Lock lock(mutex_);
    if (asked_.empty()) return false;
    asked = std::move(asked_.front());
    asked_.pop_front();
    return true;
  }

  [[nodiscard]] bool idle() {
    const Lock lock(mutex_);
    return asked_.empty();
  }

  /** Answer the oldest with the image's bytes. */
  void answer(Checks& t, bool right = true) { answer(next(t), right); }
  static void answer(const Asked& asked, bool right = true) {
    if (!asked.done) return;
    if (right) std::ranges::copy(image_bytes(asked.offset, asked.target.size()), asked.target.begin());
    asked.done(right);
  }

 private:
  Mutex mutex_;
  std::deque<Asked> asked_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace parentfs::test
