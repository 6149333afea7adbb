/** Lines of a head, and verdicts on them. */
#include "http/response-head.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace parentfs::http {

namespace {

constexpr std::string_view line_end = "\r\n";
constexpr std::string_view head_end = "\r\n\r\n";

bool is(std::string_view name, std::string_view lower) {
  return std::ranges::equal(name, lower, {}, [](unsigned char c) { return std::tolower(c); });
}

std::string_view without_spaces(std::string_view value) {
  const auto first = value.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return value.substr(first, value.find_last_not_of(" \t") - first + 1);
}

/** The first line, without its end. */
std::string_view line_of(std::string_view text) { return text.substr(0, text.find(line_end)); }

std::string_view after_line(std::string_view text) {
  const auto end = text.find(line_end);
  return end == std::string_view::npos ? std::string_view() : text.substr(end + line_end.size());
}

/** A name as long as the line: there is no colon. */
std::pair<std::string_view, std::string_view> field_of(std::string_view line) {
  const auto colon = std::min(line.find(':'), line.size());
  return {line.substr(0, colon), without_spaces(line.substr(std::min(colon + 1, line.size())))};
}

/** Source: RFC 9110 5.5 (field-vchar, obs-text, spaces), 5.6.2 (token). */
bool is_text(unsigned char c) { return c == '\t' || (c >= 0x20 && c != 0x7f); }
bool is_token(unsigned char c) {
  return (c < 0x80 && std::isalnum(c) != 0) || std::string_view("!#$%&'*+.^_`|~-").find(static_cast<char>(c)) != std::string_view::npos;
}

/** Wherever it stands: a connection too many that ends is no harm. */
bool names_close(std::string_view value) {
  constexpr std::string_view close = "close";
  return !std::ranges::search(value, close, {}, [](unsigned char c) { return std::tolower(c); }).empty();
}

bool is_number(std::string_view digits, std::uint64_t wanted) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc() && end == digits.data() + digits.size() && number == wanted;
}

}  // namespace

std::size_t end_of_head(std::string_view received) {
  const auto at = received.find(head_end);
  return at == std::string_view::npos ? 0 : at + head_end.size();
}

Answer answer_of(std::string_view head, std::uint64_t body_bytes) {
  if (!head.starts_with("HTTP/1.1 ") && !head.starts_with("HTTP/1.0 ")) return Answer::other;
  const std::string_view status = head.substr(9, 3);
  if (status.size() == 3 && status[0] == '1') return Answer::information;
  if (status != "206") return Answer::other;
  unsigned lengths = 0;
  for (std::string_view left = after_line(head), line; !(line = line_of(left)).empty(); left = after_line(left)) {
    const auto [name, value] = field_of(line);
    if (is(name, "transfer-encoding")) return Answer::other;
    if (!is(name, "content-length")) continue;
    if (!is_number(value, body_bytes)) return Answer::other;
    lengths++;
  }
  return lengths == 1 ? Answer::range : Answer::other;
}

Verdict judge(std::string_view head, const Range& range, const Version& version) {
  const std::string_view status = line_of(head);
  if (status != "HTTP/1.1 206" && !status.starts_with("HTTP/1.1 206 ")) return {};
  if (!std::ranges::all_of(status, is_text) || answer_of(head, range.last - range.first + 1) != Answer::range) return {};
  const std::string content_range = "bytes " + std::to_string(range.first) + '-' + std::to_string(range.last) + '/' +
                                    std::to_string(version.size_bytes);
  // Each has to come once, and to be this.
  struct Wanted {
    std::string_view name;
    std::string_view value;
    unsigned count = 0;
  };
  std::array wanted{Wanted{"content-range", content_range}, Wanted{"etag", version.etag},
                    Wanted{"last-modified", version.last_modified}};
  bool keeps_alive = true;
  for (std::string_view left = after_line(head), line; !(line = line_of(left)).empty(); left = after_line(left)) {
    const auto [name, value] = field_of(line);
    if (name.empty() || name.size() == line.size() || !std::ranges::all_of(name, is_token) || !std::ranges::all_of(line, is_text)) return {};
    if (is(name, "content-encoding") && value != "identity" && !value.empty()) return {};
    if (is(name, "connection") && names_close(value)) keeps_alive = false;
    for (auto& [wanted_name, wanted_value, count] : wanted) {
      if (wanted_value.empty() || !is(name, wanted_name)) continue;
      if (value != wanted_value) return {};
      count++;
    }
  }
  const bool names_version = !version.etag.empty() || !version.last_modified.empty();
  const bool is_right = names_version && std::ranges::all_of(wanted, [](const Wanted& each) {
    return each.count == (each.value.empty() ? 0 : 1);
  });
  return {.is_right = is_right, .keeps_alive = keeps_alive};
}

}  // namespace parentfs::http
