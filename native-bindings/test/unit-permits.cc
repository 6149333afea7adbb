/** image/: permits of units. What is not permitted is neither claimed nor asked. */
#include "image/unit-permits.h"

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "image/inflight-table.h"
#include "test/fake-origin.h"
#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace {

using image::InflightTable;
using image::PermittedReader;
using image::UnitPermits;

constexpr std::uint32_t permit_block_bytes = 4096;
constexpr std::uint64_t permit_unit_bytes = std::uint64_t{2} * permit_block_bytes;

void order_of_bits(Checks& t) {
  UnitPermits permits(10, 75);
  CHECK(!permits.cover(0, 1) && !permits.cover(0, 0));
  // Units 0, 9, 64 and 66.
  std::array<std::byte, 9> bits{};
  bits[0] = std::byte{1};
  bits[1] = std::byte{2};
  bits[8] = std::byte{5};
  permits.replace(bits);
  for (std::uint64_t unit = 0; unit < 75; unit++) {
    CHECK(permits.cover(unit * 10, 10) == (unit == 0 || unit == 9 || unit == 64 || unit == 66));
  }
  CHECK(permits.cover(3, 7) && !permits.cover(3, 8) && !permits.cover(640, 21));
  permits.permit(65);
  CHECK(permits.cover(640, 30) && !permits.cover(640, 31));
  permits.permit(74);
  permits.permit(75);
  CHECK(permits.cover(749, 1) && !permits.cover(750, 1) && !permits.cover(749, 2));
  CHECK(!permits.cover(~std::uint64_t{0} - 5, 1));
  permits.replace({});
  CHECK(!permits.cover(0, 10) && !permits.cover(640, 10));
}

void permitted_reads(Checks& t) {
  const std::uint64_t object_bytes = std::uint64_t{permit_block_bytes} * residency::blocks_per_object;
  const Image image(object_bytes, permit_block_bytes);
  const auto origin = std::make_shared<FakeOrigin>();
  const auto permits = std::make_shared<UnitPermits>(permit_unit_bytes, 32);
  auto& table = *image.file->inflight();
  table.set_origin(std::make_shared<PermittedReader>(origin, permits));
  int right = 0;
  const auto done = [&](auto, bool is_right) { right += is_right ? 1 : 100; };
  const auto fetch = [&](std::uint64_t block, std::uint64_t blocks) {
    return table.fetch(block * permit_block_bytes, blocks * permit_block_bytes, done);
  };
  CHECK(fetch(2, 1) == InflightTable::Outcome::elsewhere && table.memory()->resident(0) == 0 && origin->idle());
  permits->permit(1);
  CHECK(fetch(2, 1) == InflightTable::Outcome::waiting && table.coming(0) == 0b100);
  CHECK(fetch(3, 2) == InflightTable::Outcome::elsewhere && table.memory()->resident(0) == 0b100);
  // It ends as it began.
  permits->replace({});
  origin->answer(t);
  CHECK(right == 1 && table.coming(0) == 0b100);
  CHECK(fetch(3, 1) == InflightTable::Outcome::elsewhere && origin->idle());
  const auto here = image.misses->take_reports();
  CHECK(here.size() == 1);
  table.release(here.front().fetch);
  CHECK(table.coming(0) == 0 && table.coming(1) == 0);
}

/** A reader sees old permits or new ones, and never bits that neither had. */
void permits_beside_readers(Checks& t) {
  constexpr std::uint64_t units = 256;
  UnitPermits permits(1, units);
  std::vector<std::byte> even(units / 8, std::byte{0x55});
  std::atomic<bool> is_over{false};
  std::atomic<std::uint64_t> odd{0};
  std::vector<std::thread> threads;
  for (unsigned k = 0; k < 2; k++) {
    threads.emplace_back([&] {
      while (!is_over) {
        for (std::uint64_t unit = 1; unit < units; unit += 2) odd += permits.cover(unit, 1) ? 1 : 0;
      }
    });
  }
  for (int k = 0; k < 2000; k++) {
    permits.replace(even);
    permits.permit(2 * (k % 128));
    permits.replace({});
  }
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(odd == 0);
}

}  // namespace

Tests unit_permits_tests() {
  return {{"the bits of permits are in order, and none are beyond the units", order_of_bits},
          {"a unit without a permit is neither claimed nor asked; what began ends", permitted_reads},
          {"permits change beside their readers", permits_beside_readers}};
}

}  // namespace parentfs::test
