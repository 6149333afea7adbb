/**
 * The frame of a request of HTTP/1.1: where its head ends, and how long its body is. Its meaning is
 * TypeScript's.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace parentfs::serving {

struct RequestFrame {
  /** With its empty line; 0: it has not come whole. */
  std::size_t head_bytes = 0;
  /** Bytes of its body behind the head. */
  std::uint64_t body_bytes = 0;
  /** Its end is not told here: everything that comes from now on belongs to its parser. */
  bool is_endless = false;
};

RequestFrame frame_of(std::string_view received);

/** Is the beginning of a text this one, which is in lower case, whatever its own case? */
bool begins_with(std::string_view text, std::string_view lower);

}  // namespace parentfs::serving
