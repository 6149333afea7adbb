/** session/: reports of READs, as they lie in a batch, and when their consumer is called. */
#include "session/read-reports.h"

#include <cstring>

#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace {

using session::ReadRange;
using session::ReadReports;

ReadReports::Record record_at(std::span<const std::byte> batch, std::size_t at) {
  ReadReports::Record record{};
  std::memcpy(&record, &batch[at], sizeof record);
  return record;
}

void layout(Checks& t) {
  ReadReports reports;
  const auto bytes = image_bytes(500, 13);
  CHECK(!reports.add_origin_read({.fh = 7, .offset = 500, .length = 13}, bytes, std::chrono::nanoseconds(2'500'999)));
  CHECK(reports.add_buffer_touched({.fh = ~std::uint64_t{0}, .offset = std::uint64_t{1} << 45, .length = 4096}));
  const auto batch = reports.take();
  CHECK(batch.size() == 32 + 16 + 32);
  if (batch.size() != 80) return;
  const auto first = record_at(batch, 0);
  CHECK(first.kind == 2 && first.length == 13 && first.fh == 7 && first.offset == 500 && first.microseconds == 2500);
  CHECK(is_image(std::span(batch).subspan(32, 13), 500));
  for (std::size_t k = 45; k < 48; k++) CHECK(batch[k] == std::byte{0});
  const auto second = record_at(batch, 48);
  CHECK(second.kind == 1 && second.length == 4096 && second.fh == ~std::uint64_t{0} && second.microseconds == 0);
  CHECK(second.offset == std::uint64_t{1} << 45);
  CHECK(reports.take().empty());
}

void calls_once(Checks& t) {
  ReadReports reports;
  const ReadRange range{.fh = 1, .offset = 0, .length = 0};
  CHECK(!reports.wake());
  CHECK(!reports.add_origin_read(range, {}, {}));
  CHECK(reports.wake() && !reports.wake() && !reports.add_buffer_touched(range));
  CHECK(reports.take().size() == 64 && !reports.wake());
  CHECK(reports.add_buffer_touched(range) && !reports.add_buffer_touched(range) && !reports.wake());
}

void limits(Checks& t) {
  ReadReports reports;
  const auto fill = [&](std::size_t waiting) {
    const std::vector<std::byte> bytes(waiting - sizeof(ReadReports::Record));
    return reports.add_origin_read({.fh = 1, .offset = 0, .length = bytes.size()}, bytes, {});
  };
  const ReadRange empty{.fh = 1, .offset = 0, .length = 0};
  CHECK(!fill(ReadReports::left_bytes_max) && reports.add_origin_read(empty, {}, {}));
  CHECK(reports.take().size() == ReadReports::left_bytes_max + 32);
  CHECK(fill(ReadReports::waiting_bytes_max) && !reports.full());
  CHECK(!reports.add_origin_read(empty, {}, {}) && reports.full());
  CHECK(reports.take().size() == ReadReports::waiting_bytes_max + 32 && !reports.full());
}

}  // namespace

Tests read_reports_tests() {
  return {
      {"a report is a record of 32 bytes, and bytes of the origin follow it, up to a multiple of 8", layout},
      {"the consumer of reports is called once until it takes them, and not for what was read from the origin", calls_once},
      {"the consumer of reports is called when much waits, and says when it is too much", limits},
  };
}

}  // namespace parentfs::test
