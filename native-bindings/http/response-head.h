/**
 * As much of the head of an HTTP/1.1 answer as tells where its body may go. Who asked judges all of it.
 *
 * Source: RFC 9112 2 to 6.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace parentfs::http {

enum class Answer {
  /** Another one follows. Source: RFC 9110 15.2. */
  information,
  /** A part of something (206), whose length is told once, and is the one that was asked for. */
  range,
  other,
};

/** @returns where the head at the beginning of `received` ends, its empty line included; 0 while that has not come */
std::size_t end_of_head(std::string_view received);

/** What a whole head says. @param body_bytes the length that was asked for */
Answer answer_of(std::string_view head, std::uint64_t body_bytes);

}  // namespace parentfs::http
