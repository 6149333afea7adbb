/** Answers by permit: requests of one shape, offers and what ends them, the rest of an answer, evictions at any moment. */
#include <fcntl.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <utility>

#include "serving/permit.h"
#include "test/images.h"
#include "test/serving-world.h"
#include "test/suites.h"

namespace parentfs::test {

namespace serving_permits_suite {
namespace {

using serving::Permit;
using serving::shape_of;

constexpr std::uint64_t object_bytes = residency::blocks_per_object * std::uint64_t{spliced_block};
/** More than sockets hold of a client that does not read. */
constexpr std::uint64_t long_objects = 8;

std::string asked(std::uint64_t first, std::uint64_t last, const std::string& more = "") {
  return "GET /v1/image/a HTTP/1.1\r\nHost: x\r\nRange: bytes=" + std::to_string(first) + '-' + std::to_string(last) +
         "\r\n" + more + "\r\n";
}

Permit permit_of(const Front& front, std::shared_ptr<image::DataFile> file, bool is_summed = false) {
  return {.revocations = front.permits()->revocations.load(),
          .until = std::chrono::steady_clock::now() + std::chrono::hours(1),
          .file = std::move(file),
          .head = "HTTP/1.1 206 Partial Content\r\n",
          .is_summed = is_summed,
          .range_bytes_max = long_objects * object_bytes,
          .sent = front.permits()->members.count_of("m")};
}

/** With checksums that are the numbers of the blocks. */
void offer(const Front& front, const std::shared_ptr<image::DataFile>& file, std::uint64_t object) {
  serving::Offer made{.generation = file->table()->generation(object).load(),
                      .known = ~std::uint64_t{0},
                      .until = std::chrono::steady_clock::now() + std::chrono::hours(1)};
  for (std::uint32_t block = 0; block < residency::blocks_per_object; block++) made.sums.at(block) = block;
  front.permits()->offers.offer(file, object, made);
}

std::string head_of(std::uint64_t first, std::uint64_t last, std::uint64_t size, const std::string& sums = "") {
  return "HTTP/1.1 206 Partial Content\r\ncontent-length: " + std::to_string(last - first + 1) +
         "\r\ncontent-range: bytes " + std::to_string(first) + '-' + std::to_string(last) + '/' + std::to_string(size) +
         "\r\n" + (sums.empty() ? "" : "parentfs-sums: " + sums + "\r\n") + "\r\n";
}

void evict(const image::DataFile& file, std::uint64_t object) {
  file.table()->resident(object).store(0);
  file.table()->generation(object).fetch_add(1);
  if (file.punch(object * object_bytes, object_bytes) != 0) std::abort();
}

/** A connection whose first request TypeScript has answered with an empty text, and permitted more. */
struct PermittedWorld : FrontWorld {
  explicit PermittedWorld(std::uint64_t objects = 2, bool is_summed = false, const std::string& more = "")
      : image(objects * object_bytes, spliced_block) {
    image.promote_all();
    auto [theirs, server] = connected();
    client = std::move(theirs);
    id = front->adopt(std::move(server), nullptr).value();
    write_to(client, asked(0, 9, more));
    link = next(FrontEvent::Kind::link).link;
    (void)read_from(link, asked(0, 9, more).size());
    for (std::uint64_t object = 0; object < objects; object++) offer(*front, image.file, object);
    front->permit(id, permit_of(*front, image.file, is_summed));
    front->resume(id, 0);
  }

  /** Does TypeScript get this request? It answers with a letter. */
  bool goes_to_script(const std::string& text) {
    const std::uint64_t before = front->permits()->answers.load();
    write_to(client, text);
    const bool has_come = read_from(link, text.size()) == text;
    write_to(link, "s");
    front->resume(id, ++said);
    return has_come && read_from(client, 1) == "s" && front->permits()->answers.load() == before;
  }

  /** TypeScript answers a request with nothing, and permits others by this. */
  void permit(const Permit& permit, const std::string& text) {
    write_to(client, text);
    (void)read_from(link, text.size());
    front->permit(id, permit);
    front->resume(id, said);
  }

  /** Is a range answered by permit, rightly? */
  bool is_answered(std::uint64_t first, std::uint64_t last, const std::string& more = "", const std::string& sums = "") {
    const std::uint64_t before = front->permits()->answers.load();
    write_to(client, asked(first, last, more));
    const std::string head = head_of(first, last, image.file->geometry().size_bytes(), sums);
    const std::string got = read_from(client, head.size() + last - first + 1);
    if (!got.starts_with(head) || got.size() != head.size() + last - first + 1) return false;
    if (!is_image(bytes_of(got).subspan(head.size()), first)) return false;
    return until([&] { return front->permits()->answers.load() == before + 1; });
  }

  Image image;
  OwnedFd client;
  OwnedFd link;
  std::uint32_t id = 0;
  std::uint64_t said = 0;
};

void shapes(Checks& t) {
  const auto shape = shape_of(asked(5, 70'000, "Parentfs-Rank: 3\r\nParentfs-Hop: 1\r\nX: a\r\n"));
  CHECK(shape && shape->first == 5 && shape->last == 70'000);
  const auto other = shape_of(asked(7, 8, "Parentfs-Rank: 12\r\nParentfs-Hop: 0\r\nX: a\r\n"));
  CHECK(other && shape->text == other->text);
  const std::string head = asked(5, 70'000);
  CHECK(serving::with_range(head, *shape_of(head), 6, 7) == asked(6, 7));
  CHECK(shape_of(asked(0, 1, "X: a\r\n"))->text != shape_of(asked(0, 1, "X: b\r\n"))->text);
  CHECK(shape_of(asked(0, 1, "Parentfs-Rank: x\r\n"))->text != shape_of(asked(0, 1, "Parentfs-Rank: 1\r\n"))->text);
  CHECK(shape_of(asked(0, 1, "Parentfs-Rank: 1\r\n"))->text != shape_of(asked(0, 1))->text);
  const auto none = [&](const std::string& lines) { return !shape_of("GET / HTTP/1.1\r\n" + lines + "\r\n"); };
  CHECK(none("Host: x\r\n"));
  CHECK(none("Range: bytes=0-1\r\nRange: bytes=0-1\r\n"));
  CHECK(none("Range: bytes=0-\r\n") && none("Range: bytes=-5\r\n") && none("Range: bytes=5-4\r\n"));
  CHECK(none("Range: bytes=0-1,3-4\r\n") && none("Range: lines=0-1\r\n") && none("Range: bytes=0-1 \r\n"));
  CHECK(none("Range: bytes=0-1\r\n 2\r\n") && none("Range: bytes=0-9999999999999999\r\n"));
}

void answers_by_permit(Checks& t) {
  PermittedWorld world;
  const std::uint64_t size = world.image.file->geometry().size_bytes();
  CHECK(world.is_answered(0, 65'535) && world.is_answered(1, 1) && world.is_answered(object_bytes - 5, object_bytes + 5));
  // Several at once, in their order, one of them TypeScript's.
  write_to(world.client, asked(3, 4) + asked(8, 9) + "GET /b HTTP/1.1\r\n\r\n" + asked(20, 29));
  const std::string first = head_of(3, 4, size);
  const std::string second = head_of(8, 9, size);
  const std::string got = read_from(world.client, first.size() + second.size() + 4);
  CHECK(got.starts_with(first) && got.substr(first.size() + 2).starts_with(second));
  CHECK(read_from(world.link, 19) == "GET /b HTTP/1.1\r\n\r\n");
  write_to(world.link, "s");
  world.front->resume(world.id, ++world.said);
  CHECK(read_from(world.client, 1) == "s");
  const std::string last = head_of(20, 29, size);
  CHECK(read_from(world.client, last.size() + 10).starts_with(last));
  CHECK(until([&] { return world.front->permits()->answers.load() == 6; }));
  const std::uint64_t bytes = 65'536 + 1 + 11 + 2 + 2 + 10;
  CHECK(world.front->permits()->bytes.load() == bytes && world.front->permits()->members.of("m") == bytes);
  CHECK(world.front->sent_bytes() == bytes);
}

void tells_sums(Checks& t) {
  const std::string rank = "Parentfs-Rank: 1\r\n";
  PermittedWorld world(2, true, rank);
  CHECK(world.is_answered(2 * spliced_block, 4 * spliced_block - 1, "Parentfs-Rank: 7\r\n", "00000002,00000003"));
  CHECK(world.goes_to_script(asked(1, 4 * spliced_block - 1, rank)));
  CHECK(world.goes_to_script(asked(object_bytes - spliced_block, object_bytes + spliced_block - 1, rank)));
  CHECK(world.is_answered(object_bytes, object_bytes + spliced_block - 1, rank, "00000000"));
}

void asks_script(Checks& t) {
  PermittedWorld world;
  const auto& table = *world.image.file->table();
  CHECK(world.is_answered(0, 99));
  CHECK(world.goes_to_script(asked(0, 99, "X: y\r\n")));
  CHECK(world.goes_to_script("HEAD" + asked(0, 99).substr(3)));
  CHECK(world.goes_to_script(asked(0, 2 * object_bytes)));
  CHECK(world.goes_to_script(asked(0, 20 * object_bytes)));
  // Another generation, though all of it is here.
  table.generation(1).fetch_add(1);
  CHECK(world.goes_to_script(asked(object_bytes, object_bytes + 9)));
  CHECK(world.is_answered(0, 99));
  offer(*world.front, world.image.file, 1);
  CHECK(world.is_answered(object_bytes, object_bytes + 9));
  table.resident(1).store(~std::uint64_t{2});
  CHECK(world.goes_to_script(asked(object_bytes, object_bytes + spliced_block)));
  CHECK(world.is_answered(object_bytes, object_bytes + 9));
  world.front->permits()->revocations.fetch_add(1);
  CHECK(world.goes_to_script(asked(0, 99)));
  // One whose decision began before that.
  const Permit late = permit_of(*world.front, world.image.file);
  world.front->permits()->revocations.fetch_add(1);
  world.permit(late, asked(0, 9));
  CHECK(world.goes_to_script(asked(0, 99)));
  // Longer than what is sent at once.
  Permit brief = permit_of(*world.front, world.image.file);
  brief.range_bytes_max = 100;
  world.permit(brief, asked(0, 9));
  CHECK(world.is_answered(0, 99));
  CHECK(world.goes_to_script(asked(0, 100)));
}

void keeps_rate(Checks& t) {
  PermittedWorld world;
  CHECK(world.is_answered(0, 99));
  world.front->permits()->rate.set(1);
  (void)world.front->permits()->rate.book(600, std::chrono::steady_clock::now());
  CHECK(world.goes_to_script(asked(0, 99)));
}

void ends_in_time(Checks& t) {
  PermittedWorld world;
  Permit over = permit_of(*world.front, world.image.file);
  over.until = std::chrono::steady_clock::now();
  world.permit(over, asked(0, 9, "X: y\r\n"));
  CHECK(world.goes_to_script(asked(0, 9, "X: y\r\n")));
  serving::Offer made{.generation = world.image.file->table()->generation(0).load(), .until = std::chrono::steady_clock::now()};
  serving::SendableObjects offers(2);
  offers.offer(world.image.file, 0, made);
  const image::DataFile& file = *world.image.file;
  CHECK(until([&] { return !offers.covers(file, 0, 9, std::chrono::steady_clock::now(), nullptr); }));
  // The oldest of three has left a place for two.
  const PermittedWorld wide(3);
  made.until += std::chrono::hours(1);
  for (std::uint64_t object = 0; object < 3; object++) offers.offer(wide.image.file, object, made);
  std::string none;
  const auto at = [&](std::uint64_t object, std::string* sums) {
    const std::uint64_t first = object * object_bytes;
    return offers.covers(*wide.image.file, first, first + spliced_block - 1, std::chrono::steady_clock::now(), sums);
  };
  CHECK(!at(0, nullptr) && at(1, nullptr) && at(2, nullptr));
  CHECK(!at(2, &none));
  // Of a file that is gone, where another one has come to lie at its address.
  std::shared_ptr<image::DataFile> gone(wide.image.file.get(), [](image::DataFile* /*not ours*/) {});
  offers.offer(gone, 0, made);
  CHECK(at(0, nullptr));
  gone.reset();
  CHECK(!at(0, nullptr));
}

/** An answer of everything has begun when the last object is evicted. @returns its last byte */
std::uint64_t lose_the_end(Checks& t, const PermittedWorld& world) {
  const std::uint64_t last = long_objects * object_bytes - 1;
  write_to(world.client, asked(0, last));
  const std::string head = head_of(0, last, world.image.file->geometry().size_bytes());
  CHECK(read_from(world.client, head.size()) == head);
  evict(*world.image.file, long_objects - 1);
  return last;
}

/** A piece goes, then the object is evicted: TypeScript sends the rest, and its head is left out. */
void hands_over(Checks& t) {
  PermittedWorld world(long_objects);
  const std::uint64_t last = lose_the_end(t, world);
  std::string got;
  std::string rest;
  std::atomic<bool> is_asked{false};
  std::thread script([&] {
    while (!rest.ends_with("\r\n\r\n")) rest += read_from(world.link, 1);
    is_asked.store(true);
    const std::size_t at = rest.find("bytes=") + 6;
    const std::uint64_t from = std::stoull(rest.substr(at));
    std::string text = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 206 Partial Content\r\ncontent-length: 1\r\n\r\n";
    const std::size_t said = text.size();
    const auto bytes = image_bytes(from, last + 1 - from);
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t sent = ::send(world.link.get(), text.data() + done, std::min<std::size_t>(text.size() - done, 65'536), MSG_NOSIGNAL);
      if (sent > 0) done += static_cast<std::size_t>(sent);
      else std::this_thread::sleep_for(milliseconds(1));
    }
    world.said = said + bytes.size();
    world.front->resume(world.id, world.said);
  });
  got = read_from(world.client, last + 1);
  script.join();
  CHECK(is_asked.load() && got.size() == last + 1 && is_image(bytes_of(got), 0));
  CHECK(world.front->permits()->answers.load() == 0);
  // The connection is as any other then.
  CHECK(world.goes_to_script(asked(0, 9)));
}

/** An answer of another kind for the rest ends the connection: nothing else could be told. */
void ends_without_rest(Checks& t) {
  PermittedWorld world(long_objects);
  const std::uint64_t last = lose_the_end(t, world);
  std::thread script([&] {
    for (std::string rest; !rest.ends_with("\r\n\r\n");) rest += read_from(world.link, 1);
    write_to(world.link, "HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno\n");
  });
  const std::string got = read_from(world.client, last + 1);
  script.join();
  CHECK(got.size() < last + 1 && is_image(bytes_of(got), 0));
}

/** Readers by permit beside evictions and promotions: whoever sends them, the bytes are right. */
void races_by_permit(Checks& t) {
  PermittedWorld world(1);
  std::atomic<bool> stopping{false};
  std::thread evictor([&] {
    while (!stopping.load()) {
      evict(*world.image.file, 0);
      world.image.promote(0, 0, residency::blocks_per_object);
      offer(*world.front, world.image.file, 0);
      std::this_thread::sleep_for(milliseconds(2));
    }
  });
  std::thread script([&] {
    std::string text;
    std::array<char, 512> place{};
    while (!stopping.load()) {
      pollfd waited{.fd = world.link.get(), .events = POLLIN, .revents = 0};
      if (::poll(&waited, 1, 10) <= 0) continue;
      const ssize_t got = ::recv(world.link.get(), place.data(), place.size(), MSG_DONTWAIT);
      if (got <= 0) continue;
      text.append(place.data(), static_cast<std::size_t>(got));
      if (!text.ends_with("\r\n\r\n")) continue;
      const auto shape = shape_of(text);
      text.clear();
      const auto bytes = image_bytes(shape->first, shape->last + 1 - shape->first);
      std::string answer = head_of(shape->first, shape->last, object_bytes);
      answer.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      write_to(world.link, answer);
      world.said += answer.size();
      world.front->permit(world.id, permit_of(*world.front, world.image.file));
      world.front->resume(world.id, world.said);
    }
  });
  for (std::uint64_t round = 0; round < 300; round++) {
    const std::uint64_t first = (round * 77'777) % (object_bytes - 100'000);
    const std::string head = head_of(first, first + 99'999, object_bytes);
    write_to(world.client, asked(first, first + 99'999));
    const std::string got = read_from(world.client, head.size() + 100'000);
    CHECK(got.size() == head.size() + 100'000 && got.starts_with(head));
    CHECK(is_image(bytes_of(got).subspan(std::min(got.size(), head.size())), first));
    if (got.size() != head.size() + 100'000) break;
  }
  stopping.store(true);
  evictor.join();
  script.join();
}

/** A connection that has to go: the guard takes one that looks idle to TypeScript. */
void ends_after_answer(Checks& t) {
  PermittedWorld world(long_objects);
  const std::uint64_t last = long_objects * object_bytes - 1;
  write_to(world.client, asked(0, last));
  const std::string head = head_of(0, last, world.image.file->geometry().size_bytes());
  CHECK(read_from(world.client, head.size()) == head);
  world.front->drop(world.id);
  const std::string got = read_from(world.client, last + 1);
  CHECK(got.size() == last + 1 && is_image(bytes_of(got), 0));
  CHECK(read_from(world.client, 1).empty());
  CHECK(world.next(FrontEvent::Kind::closed).connection == world.id);
  // Without an answer it goes at once.
  PermittedWorld idle;
  idle.front->drop(idle.id);
  CHECK(idle.next(FrontEvent::Kind::closed).connection == idle.id);
}

/** A generation that moves while bytes are taken makes a miss, however they are taken. */
void misses_moved_generations(Checks& t) {
  const Image image(object_bytes, spliced_block);
  image.promote_all();
  if (skip_without_nowait(t, *image.file)) return;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
  const OwnedFd out(ends[0]);
  const OwnedFd in(ends[1]);
  constexpr std::size_t bytes = 8 * spliced_block;
  ::fcntl(in.get(), F_SETPIPE_SZ, 2 * bytes);
  std::atomic<bool> stopping{false};
  std::thread mover([&] {
    while (!stopping.load()) image.file->table()->generation(0).fetch_add(1);
  });
  std::vector<std::byte> place(bytes);
  // Bits are set and pages are there: nothing but the look at the generation can tell.
  CHECK(until([&] {
    const bool is_missed = image.file->splice(0, bytes, in.get()) == image::ReadOutcome::miss;
    while (::read(out.get(), place.data(), place.size()) > 0) {}
    return is_missed;
  }));
  CHECK(until([&] { return image.file->read_for_other(0, place, image::Blocking::no) == image::ReadOutcome::miss; }));
  stopping.store(true);
  mover.join();
}

}  // namespace
}  // namespace serving_permits_suite

Tests serving_permit_tests() {
  using namespace serving_permits_suite;
  return {{"heads of one shape differ in range, rank and hops alone", shapes},
          {"requests of a permitted shape are answered without TypeScript, in their order", answers_by_permit},
          {"checksums of an object are told with its whole blocks", tells_sums},
          {"TypeScript is asked where permit, offer or bytes are lacking", asks_script},
          {"TypeScript is asked where the rate would make an answer wait", keeps_rate},
          {"permits and offers end in time, and the oldest offers make room", ends_in_time},
          {"the rest of an answer whose object is evicted comes from TypeScript", hands_over},
          {"an answer without its rest ends the connection", ends_without_rest},
          {"a connection that is dropped ends after its answer by permit", ends_after_answer},
          {"answers by permit beside evictions are right", races_by_permit},
          {"a generation that moves meanwhile makes a splice and a copy a miss", misses_moved_generations}};
}

}  // namespace parentfs::test
