/** receive/: what a head says, what is received and told, and whose memory is left alone. */
#include "http/range-receiver.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>
#include <thread>

#include "http/response-head.h"
#include "http/tls.h"
#include "syscalls/sockets.h"
#include "test/suites.h"

namespace parentfs::test {

namespace receiver_suite {
namespace {

using http::Answer;
using http::Event;
using Kind = http::Event::Kind;

constexpr std::string_view request = "GET /a HTTP/1.1\r\n\r\n";

std::string head_of(std::size_t bytes, const std::string& more = "") {
  return "HTTP/1.1 206 Partial Content\r\n" + more + "Content-Length: " + std::to_string(bytes) + "\r\n\r\n";
}

/** A receiver with one connection, and the other end of that. */
struct Served {
  Served() : receiver([] {}) {
    auto pair = syscalls::socket_pair();
    server = std::move(pair.value().second);
    id = receiver.adopt(std::move(pair.value().first)).value();
  }

  void send(const std::string& bytes) const {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t sent = ::send(server.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return;
      at += static_cast<std::size_t>(sent);
    }
  }

  /** The next one; one of the kind `lost` and error -1 when none comes. */
  Event next() {
    until([&] {
      for (Event& event : receiver.take_events()) events.push_back(std::move(event));
      return !events.empty();
    });
    if (events.empty()) return {.connection = 0, .kind = Kind::lost, .error = -1};
    Event event = std::move(events.front());
    events.pop_front();
    return event;
  }

  http::RangeReceiver receiver;
  OwnedFd server;
  std::uint32_t id = 0;
  std::deque<Event> events;
};

/** Each byte equals the next: memcmp tells it in one step also under a sanitizer. */
bool all_are(std::span<const std::byte> bytes, char c) {
  return bytes.front() == static_cast<std::byte>(c) && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

void heads(Checks& t) {
  CHECK(http::end_of_head("HTTP/1.1 206 x\r\nA: b\r\n") == 0 && http::end_of_head(head_of(1) + "body") == head_of(1).size());
  const auto is = [&](const std::string& head, Answer answer) { return http::answer_of(head, 10) == answer; };
  CHECK(is(head_of(10), Answer::range) && is(head_of(10, "a: b\r\n"), Answer::range));
  CHECK(is("HTTP/1.0 206\r\ncontent-LENGTH:\t10 \r\n\r\n", Answer::range));
  CHECK(is("HTTP/1.1 103 x\r\nLink: x\r\n\r\n", Answer::information));
  CHECK(is(head_of(9), Answer::other) && is(head_of(10, "Transfer-Encoding: chunked\r\n"), Answer::other));
  CHECK(is(head_of(10, "Content-Length: 10\r\n"), Answer::other) && is(head_of(10, "Content-Length: 9\r\n"), Answer::other));
  for (const char* length : {"", "+10", "0x0a", "10, 10", "1 0", "10a", "-10", "99999999999999999999"}) {
    CHECK(is("HTTP/1.1 206 x\r\nContent-Length: " + std::string(length) + "\r\n\r\n", Answer::other));
  }
  for (const char* head : {"HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\n", "HTTP/1.1 206 x\r\n\r\n", "HTTP/2 206\r\n\r\n", "HTTP/1.1 \r\n\r\n",
                           "HTTP/1.1 206\r\nContent-Length\r\n\r\n", "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"}) {
    CHECK(is(head, Answer::other));
  }
}

void ranges_follow_each_other(Checks& t) {
  Served served;
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{70'000}, std::size_t{3} << 20}) {
    std::vector<std::byte> target(bytes + 1, std::byte{'.'});
    const auto body = std::span(target).first(bytes);
    CHECK(served.receiver.ask(served.id, request, body) == 0);
    CHECK(served.receiver.ask(served.id, request, body) == EBUSY);
    served.send("HTTP/1.1 103 Early Hints\r\n\r\n" + head_of(bytes) + std::string(bytes, 'x'));
    std::uint64_t told = 0;
    std::string head;
    for (Event event = served.next();; event = served.next()) {
      told += event.bytes;
      head += event.head;
      CHECK(event.connection == served.id && (event.kind == Kind::whole || event.kind == Kind::head || event.kind == Kind::progress));
      if (event.kind != Kind::head && event.kind != Kind::progress) break;
    }
    CHECK(head == head_of(bytes) && told == bytes);
    CHECK(all_are(body, 'x') && target[bytes] == std::byte{'.'});
    std::string sent(request.size(), ' ');
    CHECK(::recv(served.server.get(), sent.data(), sent.size(), MSG_WAITALL) == static_cast<ssize_t>(request.size()) && sent == request);
  }
}

/** A head whose body takes long is told, and so is that more comes. */
void slow_bodies(Checks& t) {
  Served served;
  std::vector<std::byte> target(1000);
  CHECK(served.receiver.ask(served.id, request, target) == 0);
  served.send(head_of(1000).substr(0, 20));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  served.send(head_of(1000).substr(20) + std::string(300, 'x'));
  const Event head = served.next();
  CHECK(head.kind == Kind::head && head.head == head_of(1000) && head.bytes == 300);
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  served.send(std::string(300, 'x'));
  const Event more = served.next();
  CHECK(more.kind == Kind::progress && more.bytes == 300 && more.head.empty());
  served.send(std::string(400, 'x'));
  const Event whole = served.next();
  CHECK(whole.kind == Kind::whole && whole.bytes == 400 && whole.head.empty() && all_are(target, 'x'));
}

void other_answers(Checks& t) {
  const std::string refusal = "HTTP/1.1 503 x\r\nContent-Length: 2\r\n\r\n";
  const std::string endless(http::RangeReceiver::head_bytes_max, 'x');
  for (const auto& [sent, head] : {std::pair(refusal + "no", refusal), std::pair(head_of(99) + "x", head_of(99)),
                                   std::pair(head_of(100) + std::string(101, 'x'), head_of(100)), std::pair(endless, endless)}) {
    Served served;
    std::vector<std::byte> target(100, std::byte{'.'});
    CHECK(served.receiver.ask(served.id, request, target) == 0);
    served.send(sent);
    const Event event = served.next();
    CHECK(event.kind == Kind::other && event.head == head && all_are(target, '.'));
    CHECK(served.receiver.ask(served.id, request, target) == ENOTCONN);
  }
}

void answers_before_the_answer(Checks& t) {
  using http::RangeReceiver;
  const std::string early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
  const auto long_one = [](std::size_t bytes) {
    const std::string begin = "HTTP/1.1 103 x\r\nLink: ";
    return begin + std::string(bytes - begin.size() - 4, 'x') + "\r\n\r\n";
  };
  const auto times = [](unsigned count, const std::string& text) {
    std::string all;
    for (unsigned k = 0; k < count; k++) all += text;
    return all;
  };
  const std::string half = long_one(RangeReceiver::information_bytes_max / 2);
  const std::string more = long_one(RangeReceiver::information_bytes_max / 2 + 1);
  std::vector<std::byte> target(100);
  Served served;
  for (const std::string& before : {times(RangeReceiver::informations_max, early), times(2, half)}) {
    CHECK(served.receiver.ask(served.id, request, target) == 0);
    served.send(before + head_of(100) + std::string(100, 'x'));
    const Event event = served.next();
    CHECK(event.kind == Kind::whole && event.head == head_of(100) && all_are(target, 'x'));
  }
  for (const auto& [before, last] : {std::pair(times(RangeReceiver::informations_max + 1, early), early), std::pair(half + more, more)}) {
    Served refused;
    std::ranges::fill(target, std::byte{'.'});
    CHECK(refused.receiver.ask(refused.id, request, target) == 0);
    refused.send(before + head_of(100) + std::string(100, 'x'));
    const Event event = refused.next();
    CHECK(event.kind == Kind::other && event.head == last && all_are(target, '.'));
    CHECK(refused.receiver.ask(refused.id, request, target) == ENOTCONN);
  }
}

void lost_connections(Checks& t) {
  std::vector<std::byte> target(100);
  Served idle;
  idle.server.reset();
  Event event = idle.next();
  CHECK(event.kind == Kind::lost && event.error == 0 && idle.receiver.ask(idle.id, request, target) == ENOTCONN);
  Served unasked;
  unasked.send("x");
  event = unasked.next();
  CHECK(event.kind == Kind::lost && event.error == EPROTO);
  Served broken;
  CHECK(broken.receiver.ask(broken.id, request, target) == 0);
  broken.send(head_of(100) + "x");
  broken.server.reset();
  event = broken.next();
  CHECK(event.kind == Kind::lost && event.head == head_of(100) && broken.receiver.ask(broken.id, request, target) == ENOTCONN);
  CHECK(broken.receiver.ask(broken.id + 1, request, target) == ENOTCONN && broken.receiver.ask(broken.id, request, {}) != 0);
}

/** A request that the socket does not take at once. */
void long_requests(Checks& t) {
  Served served;
  const std::string asked(std::size_t{8} << 20, 'a');
  std::vector<std::byte> target(1);
  CHECK(served.receiver.ask(served.id, asked, target) == 0);
  std::string got(asked.size(), ' ');
  CHECK(::recv(served.server.get(), got.data(), got.size(), MSG_WAITALL) == static_cast<ssize_t>(got.size()) && got == asked);
  served.send(head_of(1) + "x");
  CHECK(served.next().kind == Kind::whole);
}

/** Is this byte here? The kernel writes it meanwhile, which is no race with anything that a sanitizer watches. */
[[gnu::noinline, gnu::no_sanitize("thread")]] bool has_come(const volatile std::byte& byte) { return byte == std::byte{'x'}; }

/** Memory may be used at once after a connection was dropped in the middle of a body. */
void dropped_memory(Checks& t) {
  std::vector<std::byte> target(std::size_t{2} << 20);
  const std::string answer = head_of(target.size()) + std::string(target.size(), 'x');
  for (unsigned round = 0; round < 64; round++) {
    Served served;
    // Much of it waits in the socket: the thread copies for a while without a look at the connection.
    const int room_bytes = 8 << 20;
    ::setsockopt(served.server.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room_bytes, sizeof room_bytes);
    auto [client, server] = std::move(syscalls::socket_pair().value());
    const std::uint32_t other = served.receiver.adopt(std::move(client)).value();
    std::vector<std::byte> byte(1);
    std::memset(target.data(), '.', target.size());
    CHECK(served.receiver.ask(served.id, request, target) == 0 && served.receiver.ask(other, request, byte) == 0);
    std::thread sender([&] { served.send(answer); });
    // Not a millisecond later, as `until` looks: the next bytes are on their way.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!has_come(target[round * target.size() / 128]) && std::chrono::steady_clock::now() < end) {}
    served.receiver.drop(served.id);
    std::memset(target.data(), '.', target.size());
    sender.join();
    // The thread has gone on to another connection.
    const std::string told = head_of(1) + "y";
    CHECK(::send(server.get(), told.data(), told.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(told.size()));
    Event event = served.next();
    while (event.connection == served.id) event = served.next();
    CHECK(event.connection == other && event.kind == Kind::whole);
    CHECK(all_are(target, '.'));
  }
}

void ends(Checks& t) {
  Served served;
  std::vector<std::byte> target(100);
  CHECK(served.receiver.ask(served.id, request, target) == 0);
  served.receiver.close();
  served.receiver.close();
  CHECK(served.receiver.ask(served.id, request, target) == ENOTCONN);
  CHECK(served.receiver.adopt(OwnedFd(::dup(served.server.get()))).error() == ECANCELED);
  char byte = 0;
  ::recv(served.server.get(), &byte, 1, 0);
  CHECK(::recv(served.server.get(), &byte, 1, MSG_PEEK) >= 0);
}

/** Like a file, which is always ready. */
void not_watchable(Checks& t) {
  Served served;
  OwnedFd file(::memfd_create("file", MFD_CLOEXEC));
  const int number = file.get();
  CHECK(::fcntl(number, F_GETFD) == FD_CLOEXEC);
  CHECK(served.receiver.adopt(std::move(file)).error() == EPERM);
  CHECK(::fcntl(number, F_GETFD) == -1 && errno == EBADF);
}

/** This process has none. */
void no_openssl(Checks& t) { CHECK(http::TlsContext::create("", "") == nullptr); }

}  // namespace
}  // namespace receiver_suite

Tests receiver_tests() {
  using namespace receiver_suite;
  return {{"a head says where its body may go", heads},
          {"ranges follow each other on one connection", ranges_follow_each_other},
          {"a body that takes long is told of", slow_bodies},
          {"an answer that is no such range ends the connection, and writes nothing", other_answers},
          {"as many answers come before the answer as may, and then the connection ends", answers_before_the_answer},
          {"a connection that ends, breaks or sends what nobody asked for is lost", lost_connections},
          {"a request that is not taken at once is sent to its end", long_requests},
          {"nothing is written to the memory of a connection that was dropped", dropped_memory},
          {"a receiver that is closed has no connections", ends},
          {"a descriptor that cannot be waited for is refused, and closed", not_watchable},
          {"without an OpenSSL in the process there is no TLS", no_openssl}};
}

}  // namespace parentfs::test
