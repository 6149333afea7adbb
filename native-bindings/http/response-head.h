/**
 * The head of an HTTP/1.1 answer: parsed as far as needed to place its body, and judged as that of one range.
 *
 * Source: RFC 9112 2 to 6.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
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

/** The first and the last byte of a range. */
struct Range {
  std::uint64_t first;
  std::uint64_t last;
};

/** A version of an image as answers name it. */
struct Version {
  std::uint64_t size_bytes;
  /** The values of ETag and Last-Modified; one that is empty is not compared. */
  std::string etag;
  std::string last_modified;
};

struct Verdict {
  /** It is that range of that version, without a doubt. */
  bool is_right = false;
  /** The connection may be used again. */
  bool keeps_alive = false;
};

/**
 * Judges a whole head, more strictly than src/origin/http/http-origin.ts: a head that could be understood in two ways is
 * not right. Source: RFC 9110 5 (fields), 8.4, 8.6, 8.8 (encoding, length, validators), 14.4 (Content-Range).
 */
Verdict judge(std::string_view head, const Range& range, const Version& version);

}  // namespace parentfs::http
