/** Lines of a head. */
#include "serving/request-frame.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

namespace parentfs::serving {

namespace {

bool is_name(std::string_view line, std::string_view name) { return line.size() > name.size() && begins_with(line, name); }

/** Headers that leave the end of a request to its parser. */
bool is_endless(std::string_view line) {
  return is_name(line, "transfer-encoding") || is_name(line, "upgrade") || is_name(line, "expect");
}

/** @returns false for what is no number, or two of them */
bool take_length(std::string_view line, RequestFrame& frame, bool& is_known) {
  std::string_view text = line.substr(line.find(':') + 1);
  while (!text.empty() && (text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
  while (text.starts_with(' ')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), frame.body_bytes);
  return error == std::errc{} && end == text.data() + text.size() && !std::exchange(is_known, true);
}

}  // namespace

bool begins_with(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && std::ranges::equal(text.substr(0, lower.size()), lower, [](char a, char b) {
           return std::tolower(static_cast<unsigned char>(a)) == b;
         });
}

RequestFrame frame_of(std::string_view received) {
  // Lines end as Node's parser ends them: a line feed alone is no end to it, so such a head is never found whole here.
  const std::size_t end = received.find("\r\n\r\n");
  if (end == std::string_view::npos) return {};
  const std::string_view head = received.substr(0, end + 2);
  RequestFrame frame{.head_bytes = end + 4, .is_endless = head.starts_with("CONNECT ")};
  bool is_known = false;
  for (std::size_t at = 0; at < head.size() && !frame.is_endless;) {
    const std::size_t next = head.find('\n', at);
    const std::string_view line = head.substr(at, next - at);
    frame.is_endless = is_endless(line) || (is_name(line, "content-length") && !take_length(line, frame, is_known));
    at = next + 1;
  }
  return frame;
}

}  // namespace parentfs::serving
