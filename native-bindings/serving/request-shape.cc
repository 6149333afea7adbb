/** Lines whose values may differ. */
#include "serving/request-shape.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "serving/request-frame.h"

namespace parentfs::serving {

namespace {

constexpr std::string_view range_name = "range:";
/** A member's words about the unit that it asks for. */
constexpr std::array<std::string_view, 2> unit_names{"parentfs-rank:", "parentfs-hop:"};
constexpr std::string_view unit = "bytes=";
/** Digits of a size that JavaScript has exactly. */
constexpr std::size_t digits_max = 15;

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= digits_max && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::uint64_t number_of(std::string_view digits) {
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

/** Takes the numbers of a Range header's value. @returns false for any other value */
bool take_range(std::string_view head, std::size_t at, std::string_view value, RequestShape& shape) {
  if (shape.range_length > 0 || !begins_with(value, unit)) return false;
  const std::string_view numbers = value.substr(unit.size());
  const std::size_t dash = numbers.find('-');
  if (dash == std::string_view::npos) return false;
  const std::string_view first = numbers.substr(0, dash);
  const std::string_view last = numbers.substr(dash + 1);
  if (!is_number(first) || !is_number(last)) return false;
  shape.first = number_of(first);
  shape.last = number_of(last);
  shape.range_at = at + static_cast<std::size_t>(numbers.data() - head.substr(at).data());
  shape.range_length = numbers.size();
  return shape.first <= shape.last;
}

}  // namespace

std::optional<RequestShape> shape_of(std::string_view head) {
  RequestShape shape;
  shape.text.reserve(head.size());
  for (std::size_t at = 0; at < head.size();) {
    const std::size_t end = head.find("\r\n", at);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = head.substr(at, end - at);
    // A line that goes on would hide what it belongs to.
    if (line.starts_with(' ') || line.starts_with('\t')) return std::nullopt;
    const std::size_t colon = line.find(':');
    std::string_view value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    const bool is_of_unit = std::ranges::any_of(unit_names, [&](auto name) { return begins_with(line, name); });
    if (begins_with(line, range_name)) {
      if (!take_range(head, at, value, shape)) return std::nullopt;
      shape.text.append(range_name);
    } else if (is_of_unit && is_number(value)) {
      shape.text.append(line.substr(0, colon + 1));
    } else {
      shape.text.append(line);
    }
    shape.text.push_back('\n');
    at = end + 2;
  }
  if (shape.range_length == 0) return std::nullopt;
  return shape;
}

std::string with_range(std::string_view head, const RequestShape& shape, std::uint64_t first, std::uint64_t last) {
  std::string text(head.substr(0, shape.range_at));
  text += std::to_string(first) + '-' + std::to_string(last);
  text += head.substr(shape.range_at + shape.range_length);
  return text;
}

}  // namespace parentfs::serving
