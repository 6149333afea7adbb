/**
 * The shape of a request's head: all of it but the numbers in which a further request for the same image may differ, its
 * range, the rank of its unit and its hops. Requests of one shape get one decision from TypeScript.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace parentfs::serving {

struct RequestShape {
  /** The head with these numbers left out. */
  std::string text;
  /** First and last byte of its range. */
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  /** The place of the range's numbers in the head. */
  std::size_t range_at = 0;
  std::size_t range_length = 0;
};

/** @param head whole, with its empty line. @returns nothing for a head without exactly one range of two numbers */
std::optional<RequestShape> shape_of(std::string_view head);

/** The same head with another range. */
std::string with_range(std::string_view head, const RequestShape& shape, std::uint64_t first, std::uint64_t last);

}  // namespace parentfs::serving
