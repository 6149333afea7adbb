/**
 * Everything that rbd/ does, against a real cluster, as a plain executable: what AddressSanitizer runs. Sums what it read, so that
 * whoever runs it can compare.
 *
 *   exercise CONF POOL IMAGE SNAPSHOT READS [OBJECT]
 *                                              reads at random, half of which are left before they are answered; then
 *                                              what session threads read, of the image and of a plain object
 *   exercise --plant                           a fault that has to be reported
 */
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "rbd/image.h"
#include "rbd/origin-readers.h"
#include "rbd/requests.h"

namespace {

using namespace parentfs::rbd;  // NOLINT(google-build-using-namespace): a test of this one room

[[noreturn]] void fail(const std::string& what, int error = 0) {
  std::fprintf(stderr, "not ok - %s: %s\n", what.c_str(), std::strerror(error));
  std::_Exit(1);
}

void must(const Problem& problem) {
  if (problem.error != 0) fail(problem.call, problem.error);
}

/** Read at random, some at once; half of the readers leave, and their memory goes at once. */
std::uint64_t read_at_random(const std::shared_ptr<Image>& image, int reads) {
  constexpr std::size_t length = 12'345;
  std::mt19937_64 random(4711);
  std::atomic<std::uint64_t> sum = 0;
  std::atomic<int> open = 0;
  for (int k = 0; k < reads; k++) {
    const std::uint64_t offset = random() % (image->size_bytes() - length);
    auto bytes = std::make_shared<std::vector<std::byte>>(length);
    auto target = std::make_shared<Target>(*bytes);
    const bool leaves = k % 2 == 1;
    open++;
    // A reader that leaves holds no memory: a library that wrote on would write into what is free.
    auto held = leaves ? nullptr : bytes;
    const bool sent = read_image(image, offset, length, target, [held, &sum, &open](const ImageRead& read) {
      must(read.problem);
      if (held) {
        for (const std::byte each : *held) sum += static_cast<std::uint64_t>(each);
      }
      open--;
    });
    if (!sent) fail("a read was not taken");
    if (leaves) target->leave();
    while (open > 32) std::this_thread::yield();
  }
  while (open > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return sum;
}

void ask(const std::shared_ptr<Pool>& pool, const std::string& id) {
  std::promise<SnapshotIds> ids;
  if (!snapshot_ids(pool, id, [&ids](SnapshotIds found) { ids.set_value(std::move(found)); })) fail("not taken");
  must(ids.get_future().get().problem);
  std::promise<ObjectFacts> facts;
  if (!stat_object(pool, "rbd_header." + id, [&facts](const ObjectFacts& found) { facts.set_value(found); })) fail("not taken");
  must(facts.get_future().get().problem);
  std::promise<ObjectFacts> missing;
  if (!stat_object(pool, "missing", [&missing](const ObjectFacts& found) { missing.set_value(found); })) fail("not taken");
  if (missing.get_future().get().problem.error != ENOENT) fail("a missing object is there");
}

/**
 * Read all of something in pieces of 1 MiB by its origin reader, all at once. @returns the sum of what was right
 */
std::uint64_t read_natively(parentfs::image::OriginReader& reader, std::uint64_t size_bytes) {
  constexpr std::uint64_t piece_bytes = 1UL << 20U;
  std::atomic<std::uint64_t> sum = 0;
  std::atomic<int> open = 0;
  std::atomic<std::uint64_t> wrong = 0;
  const auto read = [&](std::uint64_t offset, std::uint64_t length) {
    auto bytes = std::make_shared<std::vector<std::byte>>(length);
    open++;
    if (reader.read(offset, *bytes, [bytes, &sum, &wrong, &open](bool right) {
          if (!right) wrong++;
          for (const std::byte each : *bytes) sum += right ? static_cast<std::uint64_t>(each) : 0;
          open--;
        })) {
      return true;
    }
    open--;
    return false;
  };
  for (std::uint64_t offset = 0; offset < size_bytes; offset += piece_bytes) {
    while (!read(offset, std::min(piece_bytes, size_bytes - offset))) {
      std::this_thread::yield();
    }
  }
  while (open > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  // Past the end: not right, and no memory is touched.
  std::promise<bool> past;
  auto bytes = std::make_shared<std::vector<std::byte>>(piece_bytes);
  if (!reader.read(size_bytes - 1, *bytes, [bytes, &past](bool right) { past.set_value(right); })) fail("not taken");
  if (past.get_future().get()) fail("bytes past the end");
  std::printf("%llu not right\n", static_cast<unsigned long long>(wrong.load()));
  return sum;
}

/** The same of an object, of another version of it, and of one whose pool is closed under it. */
void read_object_natively(std::shared_ptr<Pool> pool, const std::string& name) {
  std::promise<ObjectFacts> asked;
  if (!stat_object(pool, name, [&asked](const ObjectFacts& found) { asked.set_value(found); })) fail("not taken");
  const ObjectFacts facts = asked.get_future().get();
  must(facts.problem);
  ObjectReader reader(pool, name, facts.version);
  const std::uint64_t sum = read_natively(reader, facts.size_bytes);
  std::printf("object sum %llu\n", static_cast<unsigned long long>(sum));
  for (const std::uint64_t version : {facts.version - 1, facts.version + 1}) {
    ObjectReader other(pool, name, version);
    std::promise<bool> outcome;
    auto byte = std::make_shared<std::vector<std::byte>>(1);
    if (!other.read(0, *byte, [byte, &outcome](bool right) { outcome.set_value(right); })) fail("not taken");
    if (outcome.get_future().get()) fail("another version was read");
  }
  // The pool may be closed while a read is under way, which then ends as it would have.
  std::promise<void> last;
  auto bytes = std::make_shared<std::vector<std::byte>>(1);
  if (!reader.read(0, *bytes, [bytes, &last](bool) { last.set_value(); })) fail("not taken");
  pool.reset();
  last.get_future().get();
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 2 && std::string(arguments[1]) == "--plant") {
    const volatile std::size_t one_more = 9;
    auto bytes = std::make_unique<char[]>(one_more - 1);
    std::memset(bytes.get(), 1, one_more);
    std::printf("%d\n", bytes[0]);
    return 0;
  }
  if (count != 6 && count != 7) fail("exercise CONF POOL IMAGE SNAPSHOT READS [OBJECT]");
  const auto opened = open_library();
  if (opened.library == nullptr) fail(opened.complaint);
  std::promise<void> ended;
  {
    Problem problem;
    const auto threads = std::make_shared<CephThreads>(4, 4096);
    const ClusterOptions options{.cluster = "ceph",
                                 .user = "client.admin",
                                 .configuration_file = arguments[1],
                                 .options = {{"rbd_cache", "false"}, {"rados_osd_op_timeout", "30"}}};
    const auto cluster = Cluster::connect(*opened.library, threads, options, problem);
    must(problem);
    cluster->on_ended([&ended] { ended.set_value(); });
    const auto pool = Pool::open(cluster, arguments[2], "", problem);
    must(problem);
    if (pool->images(problem).empty()) fail("no images");
    pool->objects("rbd_", 1000, problem);
    const ImageDescription description = describe(pool, arguments[3], problem);
    must(problem);
    for (const Snapshot& snapshot : description.snapshots) {
      if (snapshot.name != arguments[4]) continue;
      const auto image = Image::open(pool, description.id, snapshot.id, problem);
      must(problem);
      std::printf("%zu stretches of data\n", image->data(0, image->size_bytes(), problem).size());
      must(problem);
      std::printf("sum %llu\n", static_cast<unsigned long long>(read_at_random(image, std::atoi(arguments[5]))));
      ImageReader reader(image);
      const std::uint64_t sum = read_natively(reader, image->size_bytes());
      std::printf("native sum %llu\n", static_cast<unsigned long long>(sum));
    }
    if (count == 7) read_object_natively(pool, arguments[6]);
    ask(pool, description.id);
    // Reads that fail, and reads that are let go.
    Problem wrong;
    if (Image::open(pool, "nothing", 1, wrong) || wrong.error != ENOENT) fail("an image that is not there was opened");
    describe(pool, "nothing", wrong);
  }
  if (ended.get_future().wait_for(std::chrono::seconds(30)) != std::future_status::ready) fail("no end");
  std::printf("1 passed, 0 failed\n");
  return 0;
}
