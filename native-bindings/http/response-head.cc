/** The head of an answer, as far as its body goes. */
#include "http/response-head.h"

#include <algorithm>
#include <cctype>
#include <charconv>

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
  for (auto at = head.find(line_end) + line_end.size(); at < head.size();) {
    const auto end = std::min(head.find(line_end, at), head.size());
    const std::string_view line = head.substr(at, end - at);
    at = end + line_end.size();
    const auto colon = std::min(line.find(':'), line.size());
    const std::string_view name = line.substr(0, colon);
    if (is(name, "transfer-encoding")) return Answer::other;
    if (!is(name, "content-length")) continue;
    if (!is_number(without_spaces(line.substr(std::min(colon + 1, line.size()))), body_bytes)) return Answer::other;
    lengths++;
  }
  return lengths == 1 ? Answer::range : Answer::other;
}

}  // namespace parentfs::http
