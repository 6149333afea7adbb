/** session/: garbage, from a seed. REQUESTS=n sets how many, SEED=n another sequence. */
#include <cstdlib>
#include <random>

#include "test/fake-kernel.h"
#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace session_fuzz_suite {
namespace {

/** A request that is sometimes a good READ and mostly is not. */
std::vector<std::byte> garbage(std::mt19937& random, std::uint64_t k) {
  const auto pick = [&](std::uint64_t below) { return random() % below; };
  const std::uint64_t offset = pick(3) == 0 ? std::uint64_t{random()} << pick(40) : pick(3'100'000);
  auto request = read_request(k, pick(3), offset, static_cast<std::uint32_t>(pick(4) == 0 ? random() : pick(70'000)));
  if (pick(2) == 0) {
    for (std::uint64_t flips = pick(6); flips > 0; flips--) {
      request[pick(request.size())] = static_cast<std::byte>(random());
    }
  }
  if (pick(3) == 0) request.resize(1 + pick(200));
  return request;
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void fuzz(Checks& t) {
  const auto seed = static_cast<std::uint32_t>(number_from("SEED", 4711));
  const std::uint64_t count = number_from("REQUESTS", 10'000);
  std::printf("  seed %u\n", seed);
  std::mt19937 random(seed);
  const Image image(3'000'000, 4096);
  for (std::uint64_t object = 0; object < 12; object++) image.promote(object, 0, 1 + random() % 64);
  Rig rig(2);
  rig.session.bind(1, image.file);
  rig.session.bind(2, image.file);
  std::uint64_t dropped = 0;
  std::uint64_t forwarded = 0;
  std::uint64_t answered = 0;
  const auto settled = [&](std::uint64_t k) {
    while (const auto answer = rig.kernel.answer(0)) {
      answered++;
      CHECK(answer->header.error == 0 && answer->header.length == 16 + answer->bytes.size());
    }
    forwarded += rig.forwarded().size();
    return dropped + forwarded + answered == k;
  };
  for (std::uint64_t k = 0; k < count; k++) {
    const auto request = garbage(random, k);
    if (request.size() < sizeof(wire::InHeader)) dropped++;
    rig.kernel.ask(request);
    if (k % 50 == 49) CHECK(until([&] { return settled(k + 1); }));
  }
  CHECK(until([&] { return settled(count); }));
  std::printf("  %llu requests: %llu answered, %llu handed over, %llu no request\n",
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(answered),
              static_cast<unsigned long long>(forwarded), static_cast<unsigned long long>(dropped));
  CHECK(answered > count / 20 && forwarded > count / 20 && dropped > count / 100);
}

}  // namespace
}  // namespace session_fuzz_suite

Tests session_fuzz_tests() {
  using namespace session_fuzz_suite;
  return {{"requests of garbage: each is answered, handed over, or no request at all", fuzz}};
}

}  // namespace parentfs::test
