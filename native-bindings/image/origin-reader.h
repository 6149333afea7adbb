/**
 * Origin reader: the origin of an image, as far as a session thread may ask it by itself, for whole blocks that are
 * neither resident nor on their way. Only a whole answer is trusted.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace parentfs::image {

class OriginReader {
 public:
  /** Called once, on any thread: are the bytes in the target, and right without a doubt? */
  using Done = std::function<void(bool right)>;

  OriginReader() = default;
  virtual ~OriginReader() = default;
  OriginReader(const OriginReader&) = delete;
  OriginReader& operator=(const OriginReader&) = delete;

  /** Is a range worth a claim? Threads look before each miss: it must be quick. A read of the range may fail still. */
  [[nodiscard]] virtual bool may_read(std::uint64_t /*offset*/, std::size_t /*length*/) const { return true; }

  /**
   * Begin to read; must not block. `done` holds what keeps `target` alive.
   * @returns false when it cannot; `done` is not called then
   */
  [[nodiscard]] virtual bool read(std::uint64_t offset, std::span<std::byte> target, Done done) = 0;
};

}  // namespace parentfs::image
