/** One range, asked and judged. */
#include "http/range-reader.h"

#include <string_view>

namespace parentfs::http {

bool RangeReader::read(std::uint64_t offset, std::span<std::byte> target, Done done) {
  const std::uint64_t size = version_.size_bytes;
  if (is_over() || target.empty() || offset >= size || target.size() > size - offset || Clock::now() >= until_) return false;
  const Range range{.first = offset, .last = offset + target.size() - 1};
  const std::string request =
      request_ + "range: bytes=" + std::to_string(range.first) + '-' + std::to_string(range.last) + "\r\n\r\n";
  return pool_->ask(request, target, [self = shared_from_this(), range, done = std::move(done)](const Event& event) {
    const bool is_whole = event.kind == Event::Kind::whole;
    const Verdict verdict = is_whole ? judge(event.head, range, self->version_) : Verdict{};
    // One that was lost said nothing about the image.
    if (!verdict.is_right && event.kind != Event::Kind::lost) self->is_over_.store(true, std::memory_order_relaxed);
    // Before the reader hears of it, who may ask again at once.
    self->pool_->release(event.connection, verdict.is_right, verdict.keeps_alive);
    done(verdict.is_right);
  });
}

}  // namespace parentfs::http
