/** serving/: requests through links, parts of data files at their places, evictions meanwhile, clients that are hostile. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <random>
#include <string>
#include <utility>

#include "disk/store-threads.h"
#include "serving/front.h"
#include "serving/request-frame.h"
#include "test/images.h"
#include "test/serving-world.h"
#include "test/sick-disk.h"
#include "test/suites.h"

namespace parentfs::test {

namespace serving_suite {
namespace {

constexpr std::string_view request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

void sends_parts(Checks& t, std::uint32_t block_bytes) {
  const std::uint64_t size = 3 * residency::blocks_per_object * std::uint64_t{block_bytes} + 777;
  const Image image(size, block_bytes);
  image.promote_all();
  FrontWorld world;
  auto [client, server] = connected();
  const auto id = world.front->adopt(std::move(server), nullptr);
  CHECK(id.ok());
  // Two at once: the second one waits for the answer to the first.
  write_to(client, std::string(request) + "GET /b HTTP/1.1\r\n\r\n");
  const FrontEvent link = world.next(FrontEvent::Kind::link);
  CHECK(link.connection == id.value());
  CHECK(read_from(link.link, request.size()) == request);
  // Ordered first: it waits for the bytes before it.
  world.front->send(id.value(), {.after = 4, .file = image.file, .offset = 5, .length = size - 5});
  write_to(link.link, "head");
  const std::string got = read_from(client, 4 + size - 5);
  CHECK(got.substr(0, 4) == "head");
  CHECK(got.size() == 4 + size - 5 && is_image(bytes_of(got).subspan(4), 5));
  CHECK(world.next(FrontEvent::Kind::sent).bytes == size - 5);
  CHECK(world.front->sent_bytes() == size - 5);
  // A part, bytes of the link, another part: in that order.
  world.front->send(id.value(), {.after = 4, .file = image.file, .offset = 0, .length = 10});
  CHECK(world.next(FrontEvent::Kind::sent).bytes == 10);
  world.front->send(id.value(), {.after = 10, .file = image.file, .offset = 70'000, .length = 20});
  write_to(link.link, "middle");
  const std::string rest = read_from(client, 36);
  CHECK(is_image(bytes_of(rest).first(10), 0) && rest.substr(10, 6) == "middle" && is_image(bytes_of(rest).subspan(16), 70'000));
  world.front->resume(id.value(), 10);
  CHECK(read_from(link.link, 19) == "GET /b HTTP/1.1\r\n\r\n");
}

void sends_spliced(Checks& t) { sends_parts(t, spliced_block); }
void sends_copied(Checks& t) { sends_parts(t, copied_block); }

void reports_evictions(Checks& t) {
  const std::uint64_t object_bytes = residency::blocks_per_object * std::uint64_t{spliced_block};
  const Image image(2 * object_bytes, spliced_block);
  image.promote(0, 0, residency::blocks_per_object);
  FrontWorld world;
  auto [client, server] = connected();
  const std::uint32_t id = world.front->adopt(std::move(server), nullptr).value();
  write_to(client, request);
  const FrontEvent link = world.next(FrontEvent::Kind::link);
  world.front->send(id, {.after = 0, .file = image.file, .offset = object_bytes - 3 * spliced_block, .length = 4 * spliced_block});
  const std::uint64_t sent = world.next(FrontEvent::Kind::sent).bytes;
  const std::string got = read_from(client, sent);
  // A piece is all there or not sent: TypeScript goes on from where it stopped.
  CHECK(sent <= 3 * spliced_block);
  CHECK(got.size() == sent && is_image(bytes_of(got), object_bytes - 3 * spliced_block));
  write_to(link.link, "rest");
  CHECK(read_from(client, 4) == "rest");
}

/** Readers while an object is evicted and comes again: never another byte. */
void races_evictions(Checks& t) {
  const std::uint64_t object_bytes = residency::blocks_per_object * std::uint64_t{spliced_block};
  const Image image(object_bytes, spliced_block);
  image.promote_all();
  FrontWorld world;
  std::atomic<bool> stopping{false};
  std::thread evictor([&] {
    while (!stopping.load()) {
      image.file->table()->resident(0).store(0);
      image.file->table()->generation(0).fetch_add(1);
      if (image.file->punch(0, object_bytes) != 0) std::abort();
      image.promote(0, 0, residency::blocks_per_object);
      std::this_thread::sleep_for(milliseconds(2));
    }
  });
  auto [client, server] = connected();
  const std::uint32_t id = world.front->adopt(std::move(server), nullptr).value();
  write_to(client, request);
  const FrontEvent link = world.next(FrontEvent::Kind::link);
  for (int round = 0; round < 100; round++) {
    world.front->send(id, {.after = 0, .file = image.file, .offset = 100, .length = 100'000});
    const FrontEvent event = world.next(FrontEvent::Kind::sent);
    CHECK(event.connection == id);
    if (event.connection != id) break;
    const std::uint64_t sent = event.bytes;
    const std::string got = read_from(client, sent);
    CHECK(got.size() == sent && is_image(bytes_of(got), 100));
  }
  stopping.store(true);
  evictor.join();
  world.front->send(id, {.after = 0, .file = image.file, .offset = 0, .length = 100'000});
  CHECK(is_image(bytes_of(read_from(client, 100'000)), 0));
  CHECK(world.next(FrontEvent::Kind::sent).bytes == 100'000);
}

/** The pages themselves, in a pipe, beside an eviction at every moment. */
void keeps_spliced_pages(Checks& t) {
  const Image image(residency::blocks_per_object * std::uint64_t{spliced_block}, spliced_block);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
  const OwnedFd out(ends[0]);
  const OwnedFd in(ends[1]);
  std::atomic<bool> stopping{false};
  std::thread evictor([&] {
    while (!stopping.load()) {
      image.promote(0, 0, 1);
      std::this_thread::yield();
      image.file->table()->resident(0).store(0);
      image.file->table()->generation(0).fetch_add(1);
      if (image.file->punch(0, spliced_block) != 0) std::abort();
    }
  });
  std::vector<std::byte> got(spliced_block);
  const auto end = std::chrono::steady_clock::now() + milliseconds(1500);
  for (int hits = 0; hits < 3000 && std::chrono::steady_clock::now() < end;) {
    const bool is_hit = image.file->splice(0, spliced_block, in.get()) == image::ReadOutcome::hit;
    std::size_t done = 0;
    for (ssize_t bytes = 1; bytes > 0 && done < got.size(); done += bytes > 0 ? static_cast<std::size_t>(bytes) : 0) {
      bytes = ::read(out.get(), got.data() + done, got.size() - done);
    }
    if (!is_hit) continue;
    hits++;
    CHECK(done == got.size() && is_image(got, 0));
  }
  stopping.store(true);
  evictor.join();
}

void reads_from_disk(Checks& t) {
  const Image image(spliced_block * 8, spliced_block);
  image.promote_all();
  if (image.file->sync() != 0) std::abort();
  FrontWorld world;
  auto [client, server] = connected();
  const std::uint32_t id = world.front->adopt(std::move(server), nullptr).value();
  write_to(client, request);
  const FrontEvent link = world.next(FrontEvent::Kind::link);
  (void)syscalls::drop_pages(image.file->fd(), 0, spliced_block * 8);
  world.front->send(id, {.after = 0, .file = image.file, .offset = 1, .length = spliced_block * 8 - 1});
  const std::string got = read_from(client, spliced_block * 8 - 1);
  CHECK(got.size() == spliced_block * 8 - 1 && is_image(bytes_of(got), 1));
}

/** They were resident when the connection looked, and are evicted before the store thread looks. */
void loses_bytes_while_waiting(Checks& t) {
  constexpr std::uint64_t size = spliced_block * 8;
  const Image image(size, spliced_block);
  if (skip_without_nowait(t, *image.file)) return;
  FrontWorld world;
  world.before_job = [&] {
    image.file->table()->resident(0).store(0);
    image.file->table()->generation(0).fetch_add(1);
    if (image.file->punch(0, size) != 0) std::abort();
  };
  auto [client, server] = connected();
  const std::uint32_t id = world.front->adopt(std::move(server), nullptr).value();
  write_to(client, request);
  const FrontEvent link = world.next(FrontEvent::Kind::link);
  // Another process may have the pages read again: then all is sent, and it is tried anew.
  for (int round = 0; round < 100 && world.jobs == 0; round++) {
    image.promote_all();
    if (image.file->sync() != 0) std::abort();
    (void)syscalls::drop_pages(image.file->fd(), 0, size);
    world.front->send(id, {.after = 0, .file = image.file, .offset = 0, .length = size});
    const FrontEvent event = world.next(FrontEvent::Kind::sent);
    CHECK(event.connection == id);
    if (event.connection != id) return;
    const std::string got = read_from(client, event.bytes);
    CHECK(got.size() == event.bytes && is_image(bytes_of(got), 0));
    CHECK((event.bytes < size) == (world.jobs > 0));
  }
  CHECK(world.jobs > 0);
  write_to(link.link, "rest");
  CHECK(read_from(client, 4) == "rest");
}

/** A disk that reads nothing is asked once: TypeScript goes on, which would hear nothing of an endless wait. */
void fails_while_waiting(Checks& t) {
  const SickDisk disk(16 * copied_block, copied_block);
  for (std::uint64_t k = 0; k < 16; k++) CHECK(disk.promote(k) == 0);
  disk.say("read EIO");
  FrontWorld world;
  auto [client, server] = connected();
  const std::uint32_t id = world.front->adopt(std::move(server), nullptr).value();
  write_to(client, request);
  const FrontEvent link = world.next(FrontEvent::Kind::link);
  world.front->send(id, {.after = 0, .file = disk.file, .offset = 0, .length = 16 * copied_block});
  const FrontEvent event = world.next(FrontEvent::Kind::sent);
  CHECK(event.connection == id && event.bytes == 0);
  CHECK(world.jobs == 1);
  write_to(link.link, "rest");
  CHECK(read_from(client, 4) == "rest");
}

void passes_bodies(Checks& t) {
  FrontWorld world;
  auto [client, server] = connected();
  const std::uint32_t id = world.front->adopt(std::move(server), nullptr).value();
  const std::string put = "PUT /p HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345";
  write_to(client, put + std::string(request));
  const FrontEvent link = world.next(FrontEvent::Kind::link);
  CHECK(read_from(link.link, put.size()) == put);
  write_to(link.link, "ok");
  world.front->resume(id, 2);
  CHECK(read_from(link.link, request.size()) == request);
  CHECK(read_from(client, 2) == "ok");
}

void leaves_idle_and_deaf(Checks& t) {
  const Image image(residency::blocks_per_object * std::uint64_t{spliced_block}, spliced_block);
  image.promote_all();
  const FrontWorld hasty(front_limits(milliseconds(300)));
  auto [half, half_server] = connected();
  CHECK(hasty.front->adopt(std::move(half_server), nullptr).ok());
  write_to(half, "GET / HTTP/1.1\r\nX: ");
  CHECK(read_from(half, 1).empty());
  // Only its deafness ends the other one, however late this thread is.
  serving::FrontLimits of_deaf = front_limits();
  of_deaf.take_max = milliseconds(300);
  FrontWorld world(of_deaf);
  auto [deaf, deaf_server] = connected();
  const int small = 4096;
  ::setsockopt(deaf.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  const std::uint32_t id = world.front->adopt(std::move(deaf_server), nullptr).value();
  write_to(deaf, request);
  const FrontEvent link = world.next(FrontEvent::Kind::link);
  world.waiting.clear();
  world.front->send(id, {.after = 0, .file = image.file, .offset = 0, .length = image.file->geometry().size_bytes()});
  CHECK(world.next(FrontEvent::Kind::closed).connection == id);
}

void survives_garbage(Checks& t) {
  FrontWorld world;
  std::mt19937 random(20261123);
  for (int round = 0; round < 60; round++) {
    auto [client, server] = connected();
    CHECK(world.front->adopt(std::move(server), nullptr).ok());
    std::string text = round % 2 == 0 ? std::string(request) : "PUT / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n";
    text.resize(random() % 12'000 + text.size());
    for (std::size_t k = round % 3 == 0 ? 0 : text.size() / 2; k < text.size(); k++) text[k] = static_cast<char>(random());
    write_to(client, text);
    if (round % 4 == 0) ::shutdown(client.get(), SHUT_WR);
  }
  auto [client, server] = connected();
  CHECK(world.front->adopt(std::move(server), nullptr).ok());
  write_to(client, request);
  CHECK(until([&] { return world.next(FrontEvent::Kind::link).link.get() >= 0; }));
}

void frames(Checks& t) {
  using serving::frame_of;
  CHECK(frame_of("GET / HTTP/1.1\r\nHost: x\r\n").head_bytes == 0);
  CHECK(frame_of(request).head_bytes == request.size());
  CHECK(frame_of("PUT / HTTP/1.1\r\ncontent-LENGTH:  12 \r\n\r\n").body_bytes == 12);
  CHECK(frame_of("PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n").is_endless);
  CHECK(frame_of("PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n").is_endless);
  CHECK(frame_of("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").is_endless);
  CHECK(frame_of("GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n").is_endless);
  CHECK(frame_of("GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n").is_endless && frame_of("CONNECT a:1 HTTP/1.1\r\n\r\n").is_endless);
  CHECK(frame_of("GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n").is_endless);
  CHECK(!frame_of(request).is_endless && frame_of(request).body_bytes == 0);
}

}  // namespace
}  // namespace serving_suite

Tests serving_tests() {
  using namespace serving_suite;
  return {{"resident parts are spliced to their places in a stream", sends_spliced},
          {"resident parts are copied where a folio may reach into another object", sends_copied},
          {"a part that is not resident any more is reported, and the rest comes by the link", reports_evictions},
          {"parts that are evicted and come again are never sent wrong", races_evictions},
          {"pages that were spliced stay as they are while their block is evicted", keeps_spliced_pages},
          {"bytes that only the disk has are brought by a store thread", reads_from_disk},
          {"bytes that are evicted during the wait for the disk are reported, and the rest comes by the link", loses_bytes_while_waiting},
          {"a disk that fails during the wait is reported, and asked once", fails_while_waiting},
          {"a body is told from the request behind it", passes_bodies},
          {"half a head, and a client that takes nothing, are left", leaves_idle_and_deaf},
          {"garbage ends its connection alone", survives_garbage},
          {"frames of requests", frames}};
}

}  // namespace parentfs::test
