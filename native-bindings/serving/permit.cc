/** Heads of answers by permit. */
#include "serving/permit.h"

namespace parentfs::serving {

std::optional<PermittedAnswer> Permits::answer(const Permit& permit, const RequestShape& asked) {
  const auto now = SendableObjects::Clock::now();
  const auto& geometry = permit.file->geometry();
  if (!holds(permit, now) || asked.first > asked.last || asked.last >= geometry.size_bytes()) return std::nullopt;
  const std::uint64_t length = asked.last - asked.first + 1;
  std::string sums;
  if (length > permit.range_bytes_max) return std::nullopt;
  if (!offers.covers(*permit.file, asked.first, asked.last, now, permit.is_summed ? &sums : nullptr)) return std::nullopt;
  if (!rate.try_book(length, now)) return std::nullopt;
  std::string head = permit.head;
  head += "content-length: " + std::to_string(length) + "\r\ncontent-range: bytes " + std::to_string(asked.first) + '-' +
          std::to_string(asked.last) + '/' + std::to_string(geometry.size_bytes()) + "\r\n";
  if (permit.is_summed) head += "parentfs-sums: " + sums + "\r\n";
  head += "\r\n";
  return PermittedAnswer{.head = std::move(head), .offset = asked.first, .length = length};
}

}  // namespace parentfs::serving
