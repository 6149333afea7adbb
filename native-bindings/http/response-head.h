/**
 * The head of an HTTP/1.1 answer, parsed as far as needed to place its body. The caller judges all of it.
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
  /** A partial answer (206), whose length is told once, and is the asked one. */
  range,
  other,
};

/** @returns where the head at the beginning of `received` ends, its empty line included; 0 while that has not come */
std::size_t end_of_head(std::string_view received);

/** Parses a whole head. @param body_bytes the length that was asked for */
Answer answer_of(std::string_view head, std::uint64_t body_bytes);

}  // namespace parentfs::http
