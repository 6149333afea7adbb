/** residency/: geometry, the table, and claims. */
#include <array>
#include <cerrno>

#include "residency/seqlock-read.h"
#include "image/resident-read.h"
#include "test/suites.h"

namespace parentfs::test {

namespace residency_suite {
namespace {

using residency::SeqlockRead;
using residency::Geometry;
using residency::Table;
using image::ReadOutcome;

constexpr std::uint64_t KiB = 1024;
constexpr std::uint64_t all = ~std::uint64_t{0};

void geometry_masks(Checks& t) {
  const Geometry geometry(10'000'000, 4096);
  CHECK(geometry.objects() == 39);
  CHECK(geometry.touched(0, 0, 0) == 1);
  CHECK(geometry.touched(0, 4095, 4096) == 3);
  CHECK(geometry.touched(0, 0, 256 * KiB - 1) == all);
  CHECK(geometry.touched(0, 255 * KiB, 256 * KiB) == std::uint64_t{1} << 63);
  CHECK(geometry.touched(1, 255 * KiB, 256 * KiB) == 1);
  CHECK(geometry.touched(1, 0, 10'000'000 - 1) == all);
  CHECK(geometry.bytes_of_block(10'000'000 / 4096) == 10'000'000 % 4096);
  CHECK(geometry.bytes_of_block(10'000'000 / 4096 + 1) == 0);
  CHECK(geometry.contains(10'000'000, 0));
  CHECK(!geometry.contains(10'000'000, 1));
  CHECK(!geometry.contains(all, 2));
  CHECK(Geometry(0, 4096).objects() == 0);
  CHECK(Geometry(1, 1024 * KiB).objects() == 1);
  CHECK(!Geometry::accepts(0) && !Geometry::accepts(2048) && !Geometry::accepts(4097) &&
        !Geometry::accepts(2048 * KiB));
  CHECK(Geometry::accepts(4096) && Geometry::accepts(1024 * KiB));
}

void table_limit(Checks& t) {
  // 64 TiB in blocks of 4 KiB: none of it is touched, so it costs addresses only.
  const Geometry largest(std::uint64_t{1} << 46, 4096);
  CHECK(largest.objects() == Table::objects_max);
  const auto table = Table::map(largest.objects());
  CHECK(table.ok() && table.value()->size_bytes() == std::uint64_t{1} << 32);
  CHECK(Table::map(Table::objects_max + 1).error() == EFBIG);
}

/** A read under the protocol; `meanwhile` runs where the bytes are read. */
template <class Meanwhile>
ReadOutcome read_with(const Table& table, const Geometry& geometry, std::uint64_t offset, std::size_t length,
                      Meanwhile&& meanwhile) {
  std::vector<std::byte> target(length);
  return image::read_resident(table, geometry, offset, target, 9, ReadOutcome::would_wait,
                              [&](std::uint64_t /*at*/, std::span<std::byte> into) {
                                meanwhile();
                                return into.size();
                              });
}

void partial_residency(Checks& t) {
  const Geometry geometry(1024 * KiB, 4096);
  const auto table = Table::map(geometry.objects()).value();
  table->resident(0) = all;
  table->resident(1) = all & ~(std::uint64_t{1} << 5);
  const auto nothing = [] {};
  CHECK(read_with(*table, geometry, 0, 256 * KiB, nothing) == ReadOutcome::hit);
  CHECK(read_with(*table, geometry, 250 * KiB, 20 * KiB, nothing) == ReadOutcome::hit);
  CHECK(read_with(*table, geometry, 256 * KiB + 5 * 4096 - 1, 1, nothing) == ReadOutcome::hit);
  CHECK(read_with(*table, geometry, 256 * KiB + 5 * 4096 - 1, 2, nothing) == ReadOutcome::miss);
  CHECK(read_with(*table, geometry, 512 * KiB - 1, 1, nothing) == ReadOutcome::hit);
  CHECK(read_with(*table, geometry, 512 * KiB - 1, 2, nothing) == ReadOutcome::miss);
  CHECK(read_with(*table, geometry, 1024 * KiB, 0, nothing) == ReadOutcome::hit);
  CHECK(read_with(*table, geometry, 1024 * KiB - 1, 2, nothing) == ReadOutcome::miss);
  CHECK(table->last_use(0) == 9 && table->last_use(1) == 9 && table->last_use(2) == 0);
}

void moved_generation(Checks& t) {
  const Geometry geometry(4096 * KiB, 4096);
  const auto table = Table::map(geometry.objects()).value();
  for (std::uint64_t object = 0; object < geometry.objects(); object++) table->resident(object) = all;
  // A read of 1 MiB that begins inside an object touches five: each of them counts.
  for (std::uint64_t object = 0; object < 5; object++) {
    const auto outcome = read_with(*table, geometry, 100, 1024 * KiB, [&] { table->generation(object).fetch_add(1); });
    CHECK(outcome == ReadOutcome::miss);
  }
  CHECK(table->last_use(0) == 0);
  CHECK(read_with(*table, geometry, 100, 1024 * KiB, [&] { table->generation(5).fetch_add(1); }) == ReadOutcome::hit);
  const auto evicted_and_promoted = [&] {
    table->resident(0) = 0;
    table->generation(0).fetch_add(1);
    table->resident(0) = all;
  };
  CHECK(read_with(*table, geometry, 0, 10, evicted_and_promoted) == ReadOutcome::miss);
}

void short_read(Checks& t) {
  const Geometry geometry(64 * KiB, 4096);
  const auto table = Table::map(geometry.objects()).value();
  table->resident(0) = all;
  std::array<std::byte, 100> target{};
  const auto less = [](std::uint64_t /*at*/, std::span<std::byte> into) { return into.size() - 1; };
  CHECK(image::read_resident(*table, geometry, 0, target, 1, ReadOutcome::would_wait, less) == ReadOutcome::would_wait);
  CHECK(image::read_resident(*table, geometry, 0, target, 1, ReadOutcome::miss, less) == ReadOutcome::miss);
  CHECK(table->last_use(0) == 0);
}

void large_tables(Checks& t) {
  const Geometry geometry(std::uint64_t{3} << 40, 4096);
  CHECK(geometry.objects() == 12'582'912);
  const auto table = Table::map(geometry.objects()).value();
  table->resident(geometry.objects() - 1) = 5;
  CHECK(table->resident(geometry.objects() - 1) == 5);
  CHECK(table->resident(geometry.objects() / 2) == 0);
  CHECK(Table::map(0).ok());
}

}  // namespace
}  // namespace residency_suite

Tests residency_tests() {
  using namespace residency_suite;
  return {
      {"ranges become the right blocks of the right objects", geometry_masks},
      {"a table ends where JavaScript sees no further: 64 TiB in blocks of 4 KiB", table_limit},
      {"a claim is whole exactly when every block touched is resident", partial_residency},
      {"a generation that moves during a read makes it a miss, in each object touched", moved_generation},
      {"too few bytes are never a hit", short_read},
      {"the table of a 3 TiB image is mapped, and that of an empty one", large_tables},
  };
}

}  // namespace parentfs::test
