/**
 * Takes structs from the front of received bytes and never looks past their end: no length in them is believed.
 */
#pragma once

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace parentfs::wire {

class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : rest_(bytes) {}

  /** The next `Struct`, or nothing when the bytes end before it does. */
  template <class Struct>
  [[nodiscard]] std::optional<Struct> take() {
    static_assert(std::is_trivially_copyable_v<Struct>);
    if (rest_.size() < sizeof(Struct)) return std::nullopt;
    Struct taken;
    std::memcpy(&taken, rest_.data(), sizeof taken);
    rest_ = rest_.subspan(sizeof taken);
    return taken;
  }

  /** The bytes that were not taken. */
  [[nodiscard]] std::span<const std::byte> rest() const { return rest_; }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace parentfs::wire
