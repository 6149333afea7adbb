/** wire/: the cursor. */
#include <array>

#include "test/suites.h"
#include "wire/cursor.h"
#include "wire/fuse.h"

namespace parentfs::test {

Tests wire_tests() {
  return {
      {"a cursor takes structs in order and nothing past the end",
       [](Checks& t) {
         std::array<std::byte, 12> bytes{};
         bytes[0] = std::byte{7};
         bytes[8] = std::byte{9};
         wire::Cursor cursor(bytes);
         CHECK(cursor.take<std::uint64_t>() == std::optional<std::uint64_t>(7));
         CHECK(!cursor.take<std::uint64_t>().has_value());
         CHECK(cursor.take<std::uint32_t>() == std::optional<std::uint32_t>(9));
         CHECK(!cursor.take<std::uint8_t>().has_value());
       }},
      {"a cursor at an odd address takes whole structs",
       [](Checks& t) {
         std::array<std::byte, 1 + sizeof(wire::InHeader)> bytes{};
         bytes[1] = std::byte{80};
         wire::Cursor cursor(std::span<const std::byte>(bytes).subspan(1));
         const auto header = cursor.take<wire::InHeader>();
         CHECK(header.has_value() && header->length == 80);
       }},
  };
}

}  // namespace parentfs::test
