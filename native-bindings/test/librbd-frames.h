/** Frames as librbd writes them, for the tests of librbd/. */
#pragma once

#include <cstdint>
#include <string>

#include "librbd/frames.h"

namespace parentfs::test::librbd_suite {

template <class Number>
void append(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

/** As librbd writes it. */
inline std::string frame_of(librbd::FrameType type, std::uint64_t sequence, const std::string& payload) {
  std::string frame("\x02\x01", 2);
  append(frame, static_cast<std::uint32_t>(payload.size() + librbd::preamble_bytes));
  append(frame, static_cast<std::uint16_t>(type));
  append(frame, sequence);
  return frame + payload;
}

inline std::string ask_frame(std::uint64_t sequence, const std::string& object = "rbd_data.1.0000000000000001") {
  std::string payload(16, '\0');
  append(payload, std::uint64_t{1});
  append(payload, std::uint64_t{4});
  append(payload, static_cast<std::uint32_t>(object.size()));
  payload += object;
  append(payload, std::uint32_t{0});
  append(payload, std::uint64_t{1} << 22U);
  return frame_of(librbd::FrameType::read, sequence, payload);
}

}  // namespace parentfs::test::librbd_suite
