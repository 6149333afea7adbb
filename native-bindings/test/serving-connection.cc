/** One connection of the serving port, step by step: deadlines, order of bytes, bodies, ends. */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <string>
#include <utility>

#include "test/bare-connection.h"
#include "test/suites.h"

namespace parentfs::test {

namespace serving_connection_suite {
namespace {

using namespace bare_connection;

/** A later moment than the last look at the clock. */
Clock::time_point later() {
  const auto begin = Clock::now();
  while (Clock::now() == begin) {}
  return Clock::now();
}

void deadlines(Checks& t) {
  const Image image(residency::blocks_per_object * block, spliced_block);
  if (skip_without_nowait(t, *image.file)) return;
  image.promote_all();
  Bare own;
  CHECK(own.is_limited_to(handshake));
  CHECK(own.go_on() && own.is_limited_to(idle));
  CHECK(own.say("GET /a HTT") && own.is_limited_to(head));
  // A further byte does not move the end of the time for a head.
  const auto after = later();
  CHECK(own.say("P/1.1\r\n") && own.connection->is_late(after + head));
  CHECK(own.say("\r\n") && own.is_unlimited());
  CHECK(own.answer("head") && Bare::now_at(own.client) == "head" && own.is_unlimited());
  own.connection->send({.after = 4, .file = image.file, .offset = 0, .length = image.file->geometry().size_bytes()});
  CHECK(own.go_on() && own.is_limited_to(take));
  // A byte that is taken moves it.
  const auto before = later();
  CHECK(!Bare::now_at(own.client).empty() && own.go_on() && !own.connection->is_late(before + take));
  (void)own.heard(image.file->geometry().size_bytes());
  CHECK(own.sent() == image.file->geometry().size_bytes() && own.is_unlimited());
  own.connection->resume(4);
  CHECK(own.go_on() && own.is_limited_to(idle) && own.connection->is_idle());
  // Half of the next request waits behind the one that is answered.
  CHECK(own.say(std::string(get) + "GET /b") && own.is_unlimited() && !own.connection->is_idle());
  own.connection->resume(4);
  CHECK(own.go_on() && own.is_limited_to(head) && !own.connection->is_idle());
  // A body has to come, and one whose end is not known here, too.
  Bare put;
  CHECK(put.say("PUT /p HTTP/1.1\r\nContent-Length: 5\r\n\r\n12") && put.is_limited_to(idle));
  CHECK(!put.connection->is_idle());
  CHECK(put.say("345") && put.is_unlimited());
  Bare endless;
  CHECK(endless.say("PUT /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n") && endless.is_limited_to(idle));
}

/** One request after the other goes to TypeScript, and its bytes and those of files come in their order. */
void keeps_order(Checks& t) {
  const Image image(residency::blocks_per_object * block, spliced_block);
  if (skip_without_nowait(t, *image.file)) return;
  image.promote_all();
  Bare own;
  CHECK(own.say(get) && own.say(get));
  CHECK(Bare::now_at(own.link()) == get);
  own.connection->send({.after = 4, .file = image.file, .offset = 9, .length = 10});
  // A resumption counts once the bytes of the file went, too.
  own.connection->resume(4);
  write_to(own.link(), "headtail");
  own.connection->resume(8);
  CHECK(own.go_on());
  const std::string got = Bare::now_at(own.client);
  CHECK(got.size() == 18 && got.starts_with("head") && got.ends_with("tail"));
  CHECK(is_image(bytes_of(got).subspan(4, 10), 9));
  CHECK(own.sent() == 10 && own.counted == 10);
  CHECK(own.go_on() && Bare::now_at(own.link()) == get);
  own.connection->send({.after = 8, .file = image.file, .offset = 50, .length = 10});
  own.connection->resume(8);
  CHECK(own.connection->advance() && is_image(bytes_of(Bare::now_at(own.client)), 50));
}

/** A body is as long as its head says, however it comes, and all of it reaches TypeScript. */
void passes_long_bodies(Checks& t) {
  Bare own;
  const std::string body(much, 'b');
  const std::string put = "PUT /p HTTP/1.1\r\nContent-Length: " + std::to_string(much) + "\r\n\r\n";
  const std::string text = put + body + std::string(get);
  std::string got;
  std::size_t held_max = 0;
  CHECK(own.say("P"));
  for (std::size_t done = 1; done < text.size();) {
    // As much as client, connection and link hold; then TypeScript takes what is there.
    const std::size_t before = done;
    for (ssize_t sent = 1; sent > 0 && done < text.size();) {
      sent = ::send(own.client.get(), text.data() + done, text.size() - done, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) done += static_cast<std::size_t>(sent);
      if (!own.go_on()) return CHECK(false);
    }
    held_max = std::max(held_max, done - got.size());
    for (std::string piece; !(piece = Bare::now_at(own.link())).empty();) got += piece;
    if (done == before && got.size() >= done) break;
  }
  CHECK(own.go_on());
  for (std::string piece; own.go_on() && !(piece = Bare::now_at(own.link())).empty();) got += piece;
  CHECK(held_max < much / 2);
  // The next request waits for the answer.
  CHECK(got == put + body);
  own.connection->resume(0);
  CHECK(own.go_on() && Bare::now_at(own.link()) == get);
  // An answer before the end of the body: what follows is body still.
  Bare early;
  CHECK(early.say("PUT /p HTTP/1.1\r\nContent-Length: 5\r\n\r\n12"));
  early.connection->resume(0);
  CHECK(early.go_on() && !early.connection->is_idle());
}

/** Heads of the longest length and one more: the longer one is its parser's. */
void bounds_heads(Checks& t) {
  Bare own;
  const std::size_t most = own.limits.head_bytes_max;
  CHECK(own.say(std::string(most, 'a')) && own.link().get() < 0);
  CHECK(own.say("a") && own.link().get() >= 0);
  CHECK(Bare::now_at(own.link()) == std::string(most + 1, 'a'));
  CHECK(own.say("more") && Bare::now_at(own.link()) == "more");
  // All that comes is the parser's, after its answer, too.
  own.connection->resume(0);
  CHECK(own.go_on() && !own.connection->is_idle());
}

/** Either side may end: the other one hears of it, and no connection stays. */
void tells_ends(Checks& t) {
  Bare gone;
  CHECK(gone.go_on());
  ::shutdown(gone.client.get(), SHUT_WR);
  CHECK(!gone.go_on());
  Bare half;
  CHECK(half.say("PUT /p HTTP/1.1\r\nContent-Length: 5\r\n\r\n12") && !Bare::now_at(half.link()).empty());
  ::shutdown(half.client.get(), SHUT_WR);
  CHECK(half.go_on() && Bare::has_ended(half.link()));
  CHECK(half.answer("bad") && Bare::now_at(half.client) == "bad");
  // TypeScript ends it: its client hears of that, and has a second to go.
  Bare over;
  CHECK(over.say(get));
  CHECK(over.answer("last"));
  over.link().reset();
  CHECK(over.go_on() && Bare::now_at(over.client) == "last" && Bare::has_ended(over.client));
  CHECK(over.connection->is_late(Clock::now() + milliseconds(1001)));
  over.client.reset();
  CHECK(!over.go_on());
  // What the link has not taken yet goes before the end.
  Bare full;
  const std::string put = "PUT /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(full.say(put));
  std::size_t said = put.size();
  const std::string piece(4096, 'p');
  for (ssize_t sent = 1; sent > 0 && full.go_on();) {
    sent = ::send(full.client.get(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) said += static_cast<std::size_t>(sent);
  }
  ::shutdown(full.client.get(), SHUT_WR);
  std::size_t got = 0;
  for (std::string text; full.go_on() && !(text = Bare::now_at(full.link())).empty();) got += text.size();
  CHECK(got == said && full.go_on() && Bare::has_ended(full.link()));
}

/** A piece that the disk has is brought once, and used whatever happens to its pages. */
void brings_once(Checks& t) {
  const Image image(residency::blocks_per_object * block, spliced_block);
  image.promote_all();
  if (skip_without_nowait(t, *image.file)) return;
  Bare own;
  CHECK(own.say(get));
  const auto drop_pages = [&] {
    if (image.file->sync() != 0) std::abort();
    (void)syscalls::drop_pages(image.file->fd(), 0, image.file->geometry().size_bytes());
  };
  drop_pages();
  own.connection->send({.after = 0, .file = image.file, .offset = 3, .length = 1000});
  CHECK(own.go_on() && own.go_on());
  // Another process may have had the pages read again.
  if (own.brings == 0) return;
  CHECK(own.brings == 1 && Bare::now_at(own.client).empty());
  drop_pages();
  auto piece = std::make_shared<serving::BroughtPiece>();
  piece->offset = 3;
  piece->is_there = true;
  piece->bytes = image_bytes(3, 1000);
  own.connection->brought(std::move(piece));
  CHECK(own.go_on() && own.brings == 1 && own.sent() == 1000);
  CHECK(is_image(bytes_of(Bare::now_at(own.client)), 3));
}

}  // namespace
}  // namespace serving_connection_suite

Tests serving_connection_tests() {
  using namespace serving_connection_suite;
  return {{"each step of a connection has its own deadline", deadlines},
          {"requests, answers and parts of files of a connection keep their order", keeps_order},
          {"a body is passed on as long as its head says, and its connection holds little of it", passes_long_bodies},
          {"a head that is one byte too long is its parser's", bounds_heads},
          {"the end of either side of a connection is told", tells_ends},
          {"a piece that waits for the disk is brought once", brings_once}};
}

}  // namespace parentfs::test
