/** session/: samples of hits, from the thread that answers to the one that takes them. */
#include "session/use-samples.h"

#include <thread>

#include "test/suites.h"

namespace parentfs::test {

namespace use_samples_suite {
namespace {

using session::sample_hash;
using session::UseSamples;

constexpr std::uint32_t all = 0xffffffff;
constexpr std::uint64_t object_bytes = 64 * 4096;
const residency::Geometry geometry(std::uint64_t{1} << 32, 4096);

std::vector<UseSamples::Sample> taken_of(UseSamples& samples) {
  std::vector<UseSamples::Sample> taken;
  samples.take(taken);
  return taken;
}

void entries(Checks& t) {
  UseSamples samples;
  samples.add(7, geometry, object_bytes * 3 + 4096, 1, all);
  samples.add(7, geometry, object_bytes * 3 + 8191, 2, all);
  samples.add(8, geometry, object_bytes * 4 - 1, 2, all);
  auto taken = taken_of(samples);
  CHECK(taken.size() == 3);
  if (taken.size() != 3) return;
  CHECK(taken[0].file == 7 && taken[0].object == 3 && taken[0].blocks == 6 && taken[0].reads == 2);
  CHECK(taken[1].file == 8 && taken[1].object == 3 && taken[1].blocks == std::uint64_t{1} << 63 && taken[1].reads == 1);
  CHECK(taken[2].file == 8 && taken[2].object == 4 && taken[2].blocks == 1);
  CHECK(taken_of(samples).empty());
  samples.add(7, geometry, object_bytes * 3, 1, all);
  taken = taken_of(samples);
  CHECK(taken.size() == 1 && taken[0].blocks == 1);
}

/** Source of the numbers: test/cache/plan/sample-hash.ts has the same. */
void hashes(Checks& t) {
  CHECK(sample_hash(0, 0) == 0 && sample_hash(1, 2) == 2117216093U && sample_hash(70'000, 4'000'000'000) == 727605816U);
  UseSamples samples;
  std::size_t expected = 0;
  constexpr std::uint32_t below = all / 8;
  for (std::uint64_t object = 0; object < 4000; object++) {
    samples.add(1, geometry, object * object_bytes, 1, below);
    if (sample_hash(1, object) < below) expected++;
  }
  CHECK(taken_of(samples).size() == expected);
  CHECK(expected > 400 && expected < 600);
}

void limits(Checks& t) {
  UseSamples samples;
  for (std::uint64_t object = 0; object < UseSamples::entries_max; object++) samples.add(1, geometry, object * object_bytes, 1, all);
  CHECK(samples.dropped() == 0);
  samples.add(1, geometry, UseSamples::entries_max * object_bytes, 1, all);
  CHECK(samples.dropped() == 1);
  CHECK(taken_of(samples).size() == UseSamples::entries_max);
  samples.add(1, geometry, 0, 1, all);
  CHECK(samples.dropped() == 1 && taken_of(samples).size() == 1);
}

/** Every block comes, and none that was not read, however the threads meet. */
void races(Checks& t) {
  UseSamples samples;
  constexpr std::uint64_t reads = 200'000;
  std::atomic<bool> ended{false};
  std::thread reader([&] {
    for (std::uint64_t k = 0; k < reads; k++) samples.add(1, geometry, (k % 97) * object_bytes, 1, all);
    ended = true;
  });
  std::uint64_t counted = 0;
  bool right = true;
  for (bool last = false; !last;) {
    last = ended;
    for (const auto& sample : taken_of(samples)) {
      counted += sample.reads;
      right = right && sample.file == 1 && sample.object < 97 && sample.blocks == 1 && sample.reads > 0;
    }
  }
  reader.join();
  CHECK(right);
  CHECK(counted <= reads && counted > reads / 2);
}

}  // namespace
}  // namespace use_samples_suite

Tests use_samples_tests() {
  using namespace use_samples_suite;
  return {{"samples of hits: an entry an object, until it is taken", entries},
          {"samples of hits: a share of the objects, by their hash", hashes},
          {"samples of hits: a full ring drops, and counts", limits},
          {"samples of hits: one thread appends while another takes", races}};
}

}  // namespace parentfs::test
