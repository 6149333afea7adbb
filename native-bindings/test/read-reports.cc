/** session/: reports of READs, as they lie in a batch, and when their consumer is called. */
#include "session/read-reports.h"

#include <cstring>

#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace read_reports_suite {
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
  CHECK(reports.add(ReadReports::origin_read, {.fh = 7, .offset = 500, .length = 13}, std::chrono::nanoseconds(2'500'999)));
  CHECK(reports.add(ReadReports::buffer_touched, {.fh = ~std::uint64_t{0}, .offset = std::uint64_t{1} << 45, .length = 4096}));
  const auto batch = reports.take();
  CHECK(batch.size() == 64);
  if (batch.size() != 64) return;
  const auto first = record_at(batch, 0);
  CHECK(first.kind == 4 && first.length == 13 && first.fh == 7 && first.offset == 500 && first.microseconds == 2500);
  const auto second = record_at(batch, 32);
  CHECK(second.kind == 1 && second.length == 4096 && second.fh == ~std::uint64_t{0} && second.microseconds == 0);
  CHECK(second.offset == std::uint64_t{1} << 45);
  CHECK(reports.take().empty());
}

void calls_once(Checks& t) {
  ReadReports reports;
  const ReadRange range{.fh = 1, .offset = 0, .length = 0};
  CHECK(reports.empty() && reports.add(ReadReports::origin_read, range) && !reports.add(ReadReports::origin_read_done, range));
  CHECK(!reports.urgent() && !reports.empty());
  CHECK(reports.add(ReadReports::origin_read_begun, range) && reports.urgent());
  CHECK(!reports.add(ReadReports::buffer_touched, range) && !reports.add(ReadReports::origin_read, range));
  CHECK(reports.take().size() == 5 * 32 && reports.empty() && !reports.urgent());
  CHECK(reports.add(ReadReports::buffer_touched, range) && !reports.add(ReadReports::origin_read_begun, range));
}

void limits(Checks& t) {
  ReadReports reports;
  const ReadRange range{.fh = 1, .offset = 0, .length = 0};
  for (std::size_t bytes = 0; bytes < ReadReports::waiting_bytes_max; bytes += 32) (void)reports.add(ReadReports::origin_read, range);
  CHECK(!reports.full());
  CHECK(!reports.add(ReadReports::origin_read, range) && reports.full());
  CHECK(reports.take().size() == ReadReports::waiting_bytes_max + 32 && !reports.full());
}

}  // namespace
}  // namespace read_reports_suite

Tests read_reports_tests() {
  using namespace read_reports_suite;
  return {
      {"a report is a record of 32 bytes", layout},
      {"the consumer of reports is called once until it takes them, and once more when one is urgent", calls_once},
      {"it is told when too many wait", limits},
  };
}

}  // namespace parentfs::test
