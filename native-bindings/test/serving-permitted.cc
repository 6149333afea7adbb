/** Permitted answers of one connection of the serving port: turns, heads that go out slowly, handing over. */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <string>
#include <utility>

#include "test/bare-connection.h"
#include "test/suites.h"

namespace parentfs::test {

namespace serving_permitted_suite {
namespace {

using namespace bare_connection;

std::string asked(std::uint64_t first, std::uint64_t last) {
  return "GET /a HTTP/1.1\r\nRange: bytes=" + std::to_string(first) + '-' + std::to_string(last) + "\r\n\r\n";
}

std::string told(std::string_view own_head, std::uint64_t first, std::uint64_t last, std::uint64_t size) {
  return std::string(own_head) + "content-length: " + std::to_string(last - first + 1) + "\r\ncontent-range: bytes " +
         std::to_string(first) + '-' + std::to_string(last) + '/' + std::to_string(size) + "\r\n\r\n";
}

/** The first request is answered by TypeScript with nothing, and permits further ones. */
struct Permitted : Bare {
  explicit Permitted(std::string_view own_head = partial, int room_bytes = 8192) : Bare(room_bytes) {
    image.promote_all();
    const std::uint32_t generation = image.file->table()->generation(0).load();
    const auto until = Clock::now() + hours(1);
    permits.offers.offer(image.file, 0, {.generation = generation, .known = 0, .sums = {}, .until = until});
    if (!say(asked(0, 9)) || now_at(link()) != asked(0, 9)) std::abort();
    permit(own_head);
    connection->resume(0);
  }

  void permit(std::string_view own_head) {
    connection->permit({.revocations = permits.revocations.load(), .until = Clock::now() + hours(1), .file = image.file,
                        .head = std::string(own_head), .is_summed = false, .range_bytes_max = size, .sent = nullptr});
  }
  /** Its bytes went, and those behind them will not. */
  void evict() const {
    image.file->table()->resident(0).store(0);
    image.file->table()->generation(0).fetch_add(1);
    if (image.file->punch(0, size) != 0) std::abort();
  }

  static constexpr std::uint64_t size = residency::blocks_per_object * block;
  Image image{size, spliced_block};
};

void permitted_turns(Checks& t) {
  Permitted own(partial, 200'000);
  if (skip_without_nowait(t, *own.image.file)) return;
  CHECK(own.go_on() && own.is_limited_to(idle));
  std::string text;
  for (int k = 0; k < 20; k++) text += asked(5, 5);
  write_to(own.client, text);
  CHECK(own.connection->advance(false, EPOLLIN) && own.turns > 0 && own.permits.answers.load() == 16);
  CHECK(own.connection->advance() && own.permits.answers.load() == 20 && own.is_limited_to(idle));
  // One whose answer is under way is not idle, and the next one waits for its end.
  (void)Bare::now_at(own.client);
  CHECK(own.say(asked(0, Permitted::size - 1)) && own.is_limited_to(take) && !own.connection->is_idle());
  CHECK(own.say(get));
  CHECK(Bare::now_at(own.link()).empty());
  const std::size_t bytes = told(partial, 0, Permitted::size - 1, Permitted::size).size() + Permitted::size;
  const std::string got = own.heard(bytes);
  CHECK(got.size() == bytes && is_image(bytes_of(got).last(Permitted::size), 0));
  CHECK(own.go_on() && Bare::now_at(own.link()) == get);
}

/** A permit is for a request that is at TypeScript, and is forgotten with its answer. */
void late_permits(Checks& t) {
  Permitted own;
  if (skip_without_nowait(t, *own.image.file)) return;
  CHECK(own.say(get) && Bare::now_at(own.link()) == get);
  own.connection->resume(0);
  CHECK(own.say(asked(0, 9)) && Bare::now_at(own.client).ends_with(std::string(1, static_cast<char>(byte_at(9)))));
  own.permits.revocations.fetch_add(1);
  own.permit(partial);
  CHECK(own.say(asked(0, 9)) && Bare::now_at(own.link()) == asked(0, 9));
}

/** A head that its client takes in parts goes before its bytes. */
void long_heads(Checks& t) {
  std::string own_head(partial);
  for (int k = 0; k < 4000; k++) own_head += "x: " + std::to_string(k) + " and more of it\r\n";
  Permitted own(own_head);
  if (skip_without_nowait(t, *own.image.file)) return;
  CHECK(own.go_on());
  write_to(own.client, asked(7, 1006));
  const std::string wanted = told(own_head, 7, 1006, Permitted::size);
  const std::string got = own.heard(wanted.size() + 1000);
  CHECK(got.size() == wanted.size() + 1000 && got.starts_with(wanted));
  CHECK(is_image(bytes_of(got).last(1000), 7));
}

/** The rest of an answer is TypeScript's: its head is left out and bounded. A connection that leaves goes after it. */
void hands_over_rest(Checks& t) {
  constexpr std::size_t rest_head_bytes_max = 16 * 1024;
  const std::string rest = "HTTP/1.1 206 Partial Content\r\n\r\nrest";
  const auto begun = [&](Permitted& own) {
    CHECK(own.say(asked(0, Permitted::size - 1)));
    own.evict();
    std::string got = own.heard(Permitted::size);
    CHECK(Bare::now_at(own.link()).starts_with("GET /a HTTP/1.1\r\nRange: bytes=") && own.is_unlimited());
    return got;
  };
  Permitted own;
  if (skip_without_nowait(t, *own.image.file)) return;
  CHECK(!begun(own).empty());
  CHECK(own.connection->leave() == false);
  CHECK(own.answer(rest) && Bare::now_at(own.client) == "rest");
  own.connection->resume(rest.size());
  CHECK(own.go_on() && own.connection->is_idle());
  // Nothing is permitted any more.
  CHECK(own.say(asked(0, 9)) && Bare::now_at(own.link()) == asked(0, 9));
  Permitted leaving;
  CHECK(leaving.say(asked(0, Permitted::size - 1)) && leaving.connection->leave());
  leaving.evict();
  (void)leaving.heard(Permitted::size);
  CHECK(leaving.answer(rest));
  leaving.connection->resume(rest.size());
  CHECK(!leaving.go_on());
  Permitted bounded;
  (void)begun(bounded);
  CHECK(bounded.answer(std::string(rest_head_bytes_max, 'h')) && !bounded.answer("h"));
}

}  // namespace
}  // namespace serving_permitted_suite

Tests serving_permitted_tests() {
  using namespace serving_permitted_suite;
  return {{"permitted answers of a connection have turns, and follow each other", permitted_turns},
          {"a permit that comes after its answer is nobody's", late_permits},
          {"a permitted answer's head goes out whole, however slowly its client takes it", long_heads},
          {"the head of the rest of a permitted answer is left out, and bounded", hands_over_rest}};
}

}  // namespace parentfs::test
