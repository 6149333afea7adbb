/** http/: ranges that native threads ask for by themselves; what is believed, and where the connections go. */
#include "http/range-reader.h"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http/connection-pool.h"
#include "http/response-head.h"
#include "syscalls/sockets.h"
#include "test/suites.h"

namespace parentfs::test {

namespace range_reader_suite {
namespace {

using http::ConnectionPool;
using http::RangeReader;
using http::RangeReceiver;
using http::Version;

constexpr std::size_t range_bytes = 100;
const std::string request = "GET /a HTTP/1.1\r\nhost: x\r\nif-match: \"v\"\r\n";
const std::string asked = request + "range: bytes=50-149\r\n\r\n";
const std::string content_range = "Content-Range: bytes 50-149/1000\r\n";
const std::string length = "Content-Length: 100\r\n";
const std::string status = "HTTP/1.1 206 Partial Content\r\n";
const std::string right_head = status + content_range + "ETag: \"v\"\r\n" + length + "\r\n";
const std::string body(range_bytes, 'x');

/** A pool, a reader of an image of 1000 bytes, and the other ends of its connections. */
struct Server {
  explicit Server(std::size_t connections = 1, Version version = {.size_bytes = 1000, .etag = "\"v\"", .last_modified = ""},
                  RangeReader::Clock::duration lifetime = std::chrono::hours(1))
      : receiver(RangeReceiver::make([] {})),
        pool(std::make_shared<ConnectionPool>(receiver)),
        reader(std::make_shared<RangeReader>(pool, request, std::move(version), RangeReader::Clock::now() + lifetime)) {
    while (ends.size() < connections) add();
  }

  int add() {
    auto pair = syscalls::socket_pair();
    ends.push_back(std::move(pair.value().second));
    return pool->add(receiver->adopt(std::move(pair.value().first)).value());
  }

  /** Begin to read bytes 50 to 149. */
  bool read() {
    outcome = 0;
    target.assign(range_bytes, std::byte{'.'});
    return reader->read(50, target, [this](bool right) { outcome = right ? 1 : -1; });
  }

  /** 1: it was right; -1: it was not; 0: it did not end. */
  int ended() {
    until([&] { return outcome != 0; });
    return outcome;
  }

  /** Wait for a request, and answer it. @returns the request */
  std::string answer(const std::string& bytes, std::size_t end = 0) {
    std::string got(asked.size(), ' ');
    const ssize_t count = ::recv(ends.at(end).get(), got.data(), got.size(), MSG_WAITALL);
    got.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    (void)::send(ends.at(end).get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return got;
  }

  [[nodiscard]] bool is_filled() const {
    return std::ranges::all_of(target, [](std::byte byte) { return byte == std::byte{'x'}; });
  }

  std::shared_ptr<RangeReceiver> receiver;
  std::shared_ptr<ConnectionPool> pool;
  std::shared_ptr<RangeReader> reader;
  std::vector<OwnedFd> ends;
  std::vector<std::byte> target;
  std::atomic<int> outcome{0};
};

void verdicts(Checks& t) {
  const http::Range range{.first = 50, .last = 149};
  const Version strong{.size_bytes = 1000, .etag = "\"v\"", .last_modified = ""};
  const Version dated{.size_bytes = 1000, .etag = "", .last_modified = "Sat, 01 Jan 2022 00:00:00 GMT"};
  const Version weak{.size_bytes = 1000, .etag = "W/\"v\"", .last_modified = dated.last_modified};
  const std::string etag = "ETag: \"v\"\r\n";
  const std::string date = "Last-Modified: " + dated.last_modified + "\r\n";
  const auto is_right = [&](const std::string& head, const Version& version) { return http::judge(head, range, version).is_right; };
  const auto with = [&](const std::string& more) { return status + content_range + length + more + "\r\n"; };
  for (const std::string& more : {etag, "eTaG:\t\"v\"  \r\n" + date, etag + "Content-Encoding: identity\r\n", etag + "Server: \xe4\r\n",
                                  etag + "Content-Encoding:\r\n", etag + "Last-Modified: never\r\n"}) {
    CHECK(is_right(with(more), strong));
    CHECK(http::judge(with(more), range, strong).keeps_alive);
  }
  CHECK(is_right(with(date), dated) && is_right(with("ETag: W/\"v\"\r\n" + date), weak) && is_right(with("ETag: \"w\"\r\n" + date), dated));
  const http::Verdict last = http::judge(with(etag + "Connection: Close\r\n"), range, strong);
  CHECK(last.is_right && !last.keeps_alive);
  // Of what a version is named by, all has to come, once, as it is.
  for (const std::string& more : {std::string(), "ETag: \"w\"\r\n" + date, "ETag: W/\"v\"\r\n" + date, std::string("ETag: \"v\", \"v\"\r\n"), etag + etag,
                                  etag + "ETag: \"w\"\r\n", "ETag: \"V\"\r\n" + date}) {
    CHECK(!is_right(with(more), strong));
  }
  for (const std::string& more : {etag, std::string("Last-Modified: Sat, 01 Jan 2022 00:00:01 GMT\r\n"), date + date}) CHECK(!is_right(with(more), dated));
  for (const std::string& more : {etag, date, std::string("ETag: W/\"v\"\r\n"), "ETag: W/\"w\"\r\n" + date}) CHECK(!is_right(with(more), weak));
  CHECK(!is_right(with(etag + date), {.size_bytes = 1000, .etag = "", .last_modified = ""}));
  for (const char* other : {"bytes 50-149/1001", "bytes 50-149/*", "bytes 49-149/1000", "bytes 50-150/1000", "bytes 050-149/1000", "50-149/1000",
                            "bytes 50-149/1000, bytes 50-149/1000", "bytes 50-149", ""}) {
    CHECK(!is_right(status + "Content-Range: " + other + "\r\n" + etag + length + "\r\n", strong));
  }
  for (const std::string& more : {content_range, std::string("Content-Encoding: gzip\r\n"), std::string("Content-Encoding: identity, gzip\r\n"),
                                  std::string("Transfer-Encoding: chunked\r\n"), std::string("Transfer-Encoding: identity\r\n"), length,
                                  std::string("a b: c\r\n"), std::string(": c\r\n"), std::string("no colon\r\n"), std::string(" folded: x\r\n"),
                                  std::string("A: b\rc\r\n"), std::string("A: b\nEvil: c\r\n"), std::string("A: \x01\r\n"), std::string("A: \x7f\r\n")}) {
    CHECK(!is_right(with(etag + more), strong));
  }
  for (const char* other : {"HTTP/1.0 206 x", "HTTP/1.1 200 x", "HTTP/1.1 2060 x", "HTTP/1.1  206 x", "http/1.1 206 x", "HTTP/1.1 206\tx", "HTTP/1.1 206 \x01"}) {
    CHECK(!is_right(other + ("\r\n" + content_range) + etag + length + "\r\n", strong));
  }
  CHECK(is_right("HTTP/1.1 206\r\n" + content_range + etag + length + "\r\n", strong));
  CHECK(!is_right(status + content_range + etag + "\r\n", strong) && !is_right(status + etag + length + "\r\n", strong));
  CHECK(!is_right(status + content_range + etag + "Content-Length: 99\r\n\r\n", strong));
}

void ranges(Checks& t) {
  Server server;
  for (unsigned k = 0; k < 3; k++) {
    CHECK(server.read());
    CHECK(server.answer("HTTP/1.1 103 Early Hints\r\n\r\n" + right_head + body) == asked);
    CHECK(server.ended() == 1 && server.is_filled());
  }
  CHECK(server.pool->size() == 1 && !server.reader->is_over());
  const auto [starved, failed] = server.pool->take_news();
  CHECK(starved == 0 && failed == 0);
}

/** Answers of each kind that is not believed: the connection goes, and so does the reader. */
void other_answers(Checks& t) {
  const auto changed = [](std::string head, const std::string& what, const std::string& to) {
    return head.replace(head.find(what), what.size(), to);
  };
  const std::string empty = "Content-Length: 0\r\n\r\n";
  std::string informations;
  for (unsigned k = 0; k <= RangeReceiver::informations_max; k++) informations += "HTTP/1.1 103 x\r\n\r\n";
  for (const std::string& bytes :
       {changed(right_head, "\"v\"", "\"w\"") + body, changed(right_head, "ETag", "X-Tag") + body, changed(right_head, "50-149", "51-150") + body,
        changed(right_head, "/1000", "/1001") + body, changed(right_head, "100\r\n", "99\r\n") + body.substr(1), right_head + body + "x",
        changed(right_head, length, "Transfer-Encoding: chunked\r\n") + "64\r\n" + body + "\r\n0\r\n\r\n",
        changed(right_head, "206", "200") + body, "HTTP/1.1 302 x\r\nLocation: /b\r\n" + empty, "HTTP/1.1 401 x\r\n" + empty,
        "HTTP/1.1 403 x\r\n" + empty, "HTTP/1.1 404 x\r\n" + empty, "HTTP/1.1 412 x\r\n" + empty, "HTTP/1.1 416 x\r\n" + empty,
        "HTTP/1.1 503 x\r\n" + empty, std::string("nonsense\r\n\r\n"), informations + right_head + body,
        changed(right_head, "ETag", "Content-Encoding: gzip\r\nETag") + body}) {
    Server server;
    CHECK(server.read());
    server.answer(bytes);
    CHECK(server.ended() == -1);
    CHECK(server.reader->is_over() && server.pool->size() == 0 && server.pool->take_news().failed == 1);
    CHECK(server.add() == 0 && !server.read());
  }
}

/** A broken answer says nothing of the image: only the connection goes. */
void lost_answers(Checks& t) {
  for (const std::string& bytes : {std::string(), right_head.substr(0, 20), right_head, right_head + body.substr(1)}) {
    Server server;
    CHECK(server.read());
    server.answer(bytes);
    server.ends.at(0).reset();
    CHECK(server.ended() == -1);
    CHECK(!server.reader->is_over() && server.pool->size() == 0 && server.pool->take_news().failed == 1);
    CHECK(server.add() == 0 && server.read());
    server.answer(right_head + body, 1);
    CHECK(server.ended() == 1 && server.is_filled());
  }
}

/** Descriptors that this process has open. */
std::size_t descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

void connections_that_end(Checks& t) {
  Server server(0);
  CHECK(!server.read() && server.pool->take_news().starved == 1 && server.pool->take_news().starved == 0);
  // Its server has said that it ends.
  CHECK(server.add() == 0 && server.read());
  server.answer(status + content_range + "Connection: close\r\nETag: \"v\"\r\n" + length + "\r\n" + body);
  CHECK(server.ended() == 1 && server.pool->size() == 0 && server.pool->take_news().failed == 0);
  // It has ended while it was idle, and is found out before anything is asked; the other one is good.
  CHECK(server.add() == 0 && server.add() == 0);
  const std::size_t before = descriptors();
  server.ends.at(2).reset();
  CHECK(until([&] { return descriptors() == before - 2; }));
  CHECK(until([&] { return server.receiver->take_over(2) == 0 && server.receiver->take_over(3) == ENOTCONN; }));
  CHECK(server.read());
  CHECK(server.answer(right_head + body, 1) == asked && server.ended() == 1 && server.pool->size() == 1);
  // More than the body, which comes later.
  CHECK(::send(server.ends.at(1).get(), "x", 1, MSG_NOSIGNAL) == 1);
  CHECK(until([&] { return server.receiver->take_over(2) == ENOTCONN; }));
  CHECK(!server.read() && server.pool->size() == 0 && server.pool->take_news().starved == 1);
  CHECK(server.pool->add(99) == ENOTCONN);
}

void refused_reads(Checks& t) {
  Server server;
  std::vector<std::byte> target(range_bytes);
  const auto never = [&](bool) { CHECK(false); };
  CHECK(!server.reader->read(901, target, never) && !server.reader->read(1000, target, never) && !server.reader->read(0, {}, never));
  CHECK(!server.reader->read(~std::uint64_t{0}, target, never));
  Server late(1, {.size_bytes = 1000, .etag = "\"v\"", .last_modified = ""}, RangeReader::Clock::duration::zero());
  CHECK(!late.read() && late.pool->size() == 1);
  for (Server* each : {&server, &late}) CHECK(each->pool->take_news().starved == 0);
}

void slow_heads(Checks& t) {
  using std::chrono::hours;
  Server server(2);
  CHECK(server.read());
  CHECK(server.answer("HTTP/1.1 2", 1) == asked);
  server.pool->expire(hours(1), hours(1));
  CHECK(server.outcome == 0 && server.pool->size() == 2);
  server.pool->expire(hours(1), ConnectionPool::Milliseconds(0));
  CHECK(server.outcome == -1 && server.pool->size() == 1 && server.pool->take_news().failed == 1 && !server.reader->is_over());
  server.pool->expire(ConnectionPool::Milliseconds(0), hours(1));
  CHECK(server.pool->size() == 0);
  char byte = 0;
  for (const OwnedFd& end : server.ends) {
    while (::recv(end.get(), &byte, 1, 0) > 0) continue;
    CHECK(::recv(end.get(), &byte, 1, 0) <= 0);
  }
}

/** The memory of a read is its reader's again once that has heard of the end. */
void closed_pools(Checks& t) {
  for (unsigned round = 0; round < 100; round++) {
    Server server;
    CHECK(server.read());
    std::thread sender([&] { server.answer(right_head + body); });
    std::this_thread::sleep_for(std::chrono::microseconds(round * 5));
    if (round % 2 == 0) server.pool->close();
    else server.receiver->close();
    CHECK(server.ended() != 0 && (server.outcome < 0 || server.is_filled()));
    const bool was_right = server.outcome > 0;
    std::ranges::fill(server.target, std::byte{'.'});
    sender.join();
    CHECK(was_right || server.target.front() == std::byte{'.'});
    CHECK(!server.read());
    server.pool->close();
    CHECK(server.pool->size() == 0);
  }
}

/** The end of an exchange, on the receiver's thread, has the last reference to the receiver. */
void last_reference(Checks& t) {
  for (unsigned round = 0; round < 50; round++) {
    Server server;
    CHECK(server.read());
    const std::weak_ptr<RangeReceiver> watched = server.receiver;
    std::atomic<bool> may_end{false};
    auto target = std::make_shared<std::vector<std::byte>>(range_bytes);
    server.answer(right_head + body);
    CHECK(server.ended() == 1);
    while (!server.reader->read(50, *target, [&may_end, target](bool) {
      while (!may_end) std::this_thread::yield();
    })) {
      std::this_thread::yield();
    }
    server.answer(right_head + body);
    server.reader.reset();
    server.pool.reset();
    server.receiver.reset();
    may_end = true;
    CHECK(until([&] { return watched.expired(); }));
  }
}

/** Many threads read while connections come and go; each read ends once, and what is right has the bytes. */
void many_threads(Checks& t) {
  constexpr unsigned readers = 4;
  constexpr unsigned reads = 200;
  Server server(0);
  std::atomic<bool> is_over{false};
  std::atomic<unsigned> right{0};
  std::atomic<unsigned> ended{0};
  std::atomic<unsigned> begun{0};
  std::thread host([&] {
    std::vector<std::pair<OwnedFd, unsigned>> ends;
    while (!is_over) {
      if (ends.size() < readers) {
        auto pair = syscalls::socket_pair();
        ends.emplace_back(std::move(pair.value().second), 0);
        CHECK(server.pool->add(server.receiver->adopt(std::move(pair.value().first)).value()) == 0);
      }
      for (auto& [end, count] : ends) {
        std::string got(asked.size(), ' ');
        if (::recv(end.get(), got.data(), got.size(), MSG_DONTWAIT) <= 0) continue;
        const std::string sent = right_head + body.substr(++count % 7 == 0 ? 1 : 0);
        (void)::send(end.get(), sent.data(), sent.size(), MSG_NOSIGNAL);
        if (count % 7 == 0) end.reset();
      }
      std::erase_if(ends, [](const auto& kept) { return kept.first.get() < 0; });
    }
  });
  std::vector<std::thread> threads;
  for (unsigned k = 0; k < readers; k++) {
    threads.emplace_back([&] {
      for (unsigned done = 0; done < reads;) {
        auto target = std::make_shared<std::vector<std::byte>>(range_bytes);
        const bool is_begun = server.reader->read(50, *target, [&, target](bool is_right) {
          if (is_right) right += std::ranges::all_of(*target, [](std::byte byte) { return byte == std::byte{'x'}; }) ? 1 : 1000;
          ended++;
        });
        if (is_begun) begun++, done++;
        else std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(until([&] { return ended == begun; }));
  is_over = true;
  host.join();
  CHECK(begun == readers * reads && right > 0 && right <= begun && server.pool->take_news().failed == begun - right);
  server.pool->close();
}

}  // namespace
}  // namespace range_reader_suite

Tests range_reader_tests() {
  using namespace range_reader_suite;
  return {{"a head is right only where it cannot be understood in two ways", verdicts},
          {"ranges are asked on one connection, one after the other", ranges},
          {"any other answer ends the reader and its connection", other_answers},
          {"an answer that breaks ends its connection, and the reader goes on with another", lost_answers},
          {"a connection that ends while it is idle is asked nothing", connections_that_end},
          {"what is outside of the image, and what comes too late, is not asked", refused_reads},
          {"an exchange that takes too long is given up, and so are idle connections", slow_heads},
          {"nothing is written to a target once its pool or receiver is closed", closed_pools},
          {"a receiver may go with the end of an exchange", last_reference},
          {"many threads read at once, and each hears of its own end", many_threads}};
}

}  // namespace parentfs::test
