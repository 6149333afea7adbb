/** librbd/: frames, the table of parents, and answers over real sockets. FRAMES=n sets how many mutated ones, SEED=n another sequence. */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "librbd/admission.h"
#include "librbd/frames.h"
#include "librbd/keeper.h"
#include "librbd/parent-table.h"
#include "librbd/responder.h"
#include "session/object-entries.h"
#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace librbd_suite {
namespace {

using namespace std::chrono_literals;
using librbd::AnswerKind;
using librbd::FrameType;
using Clock = librbd::ParentTable::Clock;

template <class Number>
void append(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}

/** As librbd writes it. */
std::string frame_of(FrameType type, std::uint64_t sequence, const std::string& payload) {
  std::string frame("\x02\x01", 2);
  append(frame, static_cast<std::uint32_t>(payload.size() + librbd::preamble_bytes));
  append(frame, static_cast<std::uint16_t>(type));
  append(frame, sequence);
  return frame + payload;
}

std::string ask_frame(std::uint64_t sequence, const std::string& object = "rbd_data.1.0000000000000001") {
  std::string payload(16, '\0');
  append(payload, std::uint64_t{1});
  append(payload, std::uint64_t{4});
  append(payload, static_cast<std::uint32_t>(object.size()));
  payload += object;
  append(payload, std::uint32_t{0});
  append(payload, std::uint64_t{1} << 22U);
  return frame_of(FrameType::read, sequence, payload);
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

void frames(Checks& t) {
  const std::string whole = ask_frame(7);
  librbd::Frame frame{};
  CHECK(librbd::first_frame(bytes_of(whole), frame) == librbd::Found::whole);
  CHECK(frame.sequence == 7 && frame.bytes == whole.size());
  const auto ask = librbd::read_ask(frame);
  CHECK(ask && ask->pool_id == 1 && ask->snapshot_id == 4 && ask->object == "rbd_data.1.0000000000000001");
  CHECK(ask && ask->name_space.empty() && ask->object_bytes == std::uint64_t{1} << 22U);
  for (std::size_t length = 0; length < whole.size(); length++) {
    CHECK(librbd::first_frame(bytes_of(whole).first(length), frame) == librbd::Found::partial);
  }
  // Shorter payloads whose header says so: an ask or none, never bytes from behind.
  for (std::uint32_t cut = 1; cut < whole.size() - librbd::head_bytes - librbd::preamble_bytes; cut++) {
    std::string shorter = whole.substr(0, whole.size() - cut);
    const auto length = static_cast<std::uint32_t>(shorter.size() - librbd::head_bytes);
    std::memcpy(&shorter[2], &length, sizeof length);
    CHECK(librbd::first_frame(bytes_of(shorter), frame) == librbd::Found::whole);
    const auto found = librbd::read_ask(frame);
    CHECK(!found || found->object_bytes == 0);
  }
  // Longer than any, or too short for what every frame has.
  const auto with_length = [&](std::size_t bytes) {
    std::string said = whole;
    const auto length = static_cast<std::uint32_t>(bytes);
    std::memcpy(&said[2], &length, sizeof length);
    return librbd::first_frame(bytes_of(said), frame);
  };
  CHECK(with_length(librbd::frame_bytes_max - librbd::head_bytes) == librbd::Found::partial);
  CHECK(with_length(librbd::frame_bytes_max + 1 - librbd::head_bytes) == librbd::Found::broken);
  CHECK(with_length(std::numeric_limits<std::uint32_t>::max()) == librbd::Found::broken);
  CHECK(with_length(librbd::preamble_bytes) == librbd::Found::whole);
  for (std::size_t less = 0; less < librbd::preamble_bytes; less++) CHECK(with_length(less) == librbd::Found::broken);
}

librbd::ParentName name() { return {.pool_id = 1, .snapshot_id = 4, .name_space = "", .prefix = "rbd_data.1"}; }

AnswerKind kind_of(librbd::ParentTable& table, std::string_view object, Clock::time_point now) {
  const librbd::ReadAsk ask{.pool_id = 1, .snapshot_id = 4, .object = object, .name_space = "", .object_bytes = 0};
  return table.answer(ask, now).kind;
}

void cold_objects(Checks& t) {
  librbd::ParentTable table([] {});
  const Image image(16 << 20U, 65536);
  table.set(name(), {.image = 7, .order = 22, .size_bytes = 16 << 20U, .file = image.file, .existing = {}});
  const std::string object = "rbd_data.1.0000000000000001";
  const auto now = Clock::now();
  for (int k = 1; k < 64; k++) CHECK(kind_of(table, object, now) == AnswerKind::cold);
  CHECK(kind_of(table, object, now) == AnswerKind::partial);
  const std::string other = "rbd_data.1.0000000000000002";
  CHECK(kind_of(table, other, now) == AnswerKind::cold);
  CHECK(kind_of(table, other, now + 201ms) == AnswerKind::partial);
  image.promote(2, 0, 1);
  CHECK(table.look(name(), 2) == AnswerKind::partial);
  image.promote(2, 0, 64);
  CHECK(kind_of(table, other, now) == AnswerKind::resident);
  CHECK(table.look(name(), 4) == AnswerKind::malformed);
  table.change(7, image.file, librbd::LeftToCluster::misses);
  CHECK(kind_of(table, other, now) == AnswerKind::resident && kind_of(table, object, now) == AnswerKind::mode);
  table.change(7, nullptr, librbd::LeftToCluster::everything);
  CHECK(kind_of(table, other, now) == AnswerKind::mode);
}

/** Objects that are evicted while they are in use make the share fall; it comes back by itself. */
void pressure(Checks& t) {
  librbd::ParentTable table([] {});
  table.set_cold_policy({.asks = 1, .time = 0ms});
  const Image image(std::uint64_t{1} << 30U, 65536);
  table.set(name(), {.image = 7, .order = 22, .size_bytes = std::uint64_t{1} << 30U, .file = image.file, .existing = {}});
  const auto asked = [&](Clock::time_point now) {
    int by_path = 0;
    for (int k = 0; k < 256; k++) {
      std::array<char, 32> object{};
      std::snprintf(object.data(), object.size(), "rbd_data.1.%016x", k);
      if (kind_of(table, object.data(), now) == AnswerKind::partial) by_path++;
    }
    return by_path;
  };
  auto now = Clock::now();
  CHECK(asked(now) == 256);
  CHECK(asked(now + 100ms) == 256);  // Their fetches may be on their way.
  now += 11min;
  CHECK(asked(now) == 256);  // They were not in use any more.
  now += 1s;
  CHECK(asked(now) < 256);
  now += 1s;
  const int share = asked(now);
  CHECK(share > 0 && share < 64);
  now += 11min;
  CHECK(asked(now) == 256);
  librbd::Admission least;
  for (int k = 0; k < 1000; k++) least.refetched();
  CHECK(least.share() == librbd::Admission::share_min);
}

void object_entries(Checks& t) {
  session::ObjectEntries entries;
  session::ObjectEntries::Entry entry{};
  entry[127] = std::byte{9};
  const auto found = [&](const char* text) {
    return entries.find(std::as_bytes(std::span(text, std::strlen(text) + 1)));
  };
  const auto number_at = [](const session::ObjectEntries::Entry& bytes, std::size_t at) {
    std::uint64_t number = 0;
    std::memcpy(&number, &bytes[at], sizeof number);
    return number;
  };
  const std::uint64_t size_bytes = (std::uint64_t{1} << 22U) + 5;
  CHECK(!found("80000007a0000001"));
  entries.set(0x80000007, size_bytes, entry);
  const auto last = found("80000007a0000001");
  CHECK(last && number_at(*last, 0) == 0x80000007a0000001 && number_at(*last, 40) == 0x00000007a0000001);
  CHECK(last && number_at(*last, 48) == 5 && number_at(*last, 56) == 1 && (*last)[127] == std::byte{9});
  const auto first = found("80000007a0000000");
  CHECK(first && number_at(*first, 48) == std::uint64_t{1} << 22U);
  for (const char* none : {"80000007a0000002", "80000008a0000000", "80000007A0000000", "80000007a000000", "absent", ""}) {
    CHECK(!found(none));
  }
  CHECK(!entries.find({}) && !entries.find(std::as_bytes(std::span("80000007a0000000", 16))));
  entries.remove(0x80000007);
  CHECK(!found("80000007a0000001"));
}

/** A connection to a listener in the directory. */
OwnedFd connection_to(const std::string& path) {
  OwnedFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  // A frame that comes in many small parts stays in the socket until it is whole, and may fill it: its sender gives up.
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) return {};
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  return fd;
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/** Every whole ask is answered once and in order, over worker after worker; garbage ends its own connection alone. */
void mutated(Checks& t) {
  const auto seed = static_cast<std::uint32_t>(number_from("SEED", 4711));
  const std::uint64_t count = number_from("FRAMES", 20'000);
  std::printf("  seed %u\n", seed);
  std::mt19937 random(seed);
  Directory directory;
  const std::string path = directory.file("sock");
  librbd::Keeper keeper(std::move(librbd::listen_at(path, 0600, -1).value()));
  const auto table = std::make_shared<librbd::ParentTable>([] {});
  auto responder = std::make_unique<librbd::Responder>(std::move(keeper.attach().value()), "/view", table);
  const std::vector<std::string> good{frame_of(FrameType::register_client, 0, ""), ask_frame(1)};
  OwnedFd client = connection_to(path);
  std::array<char, 65536> heard{};
  std::uint64_t answers = 0;
  for (std::uint64_t sent = 0; sent < count; sent++) {
    std::string frame = good.at(random() % 2);
    if (random() % 2 == 0) frame[random() % frame.size()] = static_cast<char>(random());
    if (random() % 5000 == 0) frame.resize(random() % frame.size());
    for (std::size_t at = 0; at < frame.size();) {
      const std::size_t part = random() % 3 == 0 ? 1 + random() % (frame.size() - at) : frame.size() - at;
      if (::send(client.get(), &frame[at], part, MSG_NOSIGNAL) <= 0) {
        client = connection_to(path);
        CHECK(client.get() >= 0);
        break;
      }
      at += part;
    }
    for (ssize_t got = 1; got > 0;) {
      got = ::recv(client.get(), heard.data(), heard.size(), MSG_DONTWAIT);
      if (got > 0) answers++;
    }
    if (sent % (count / 8 + 1) == count / 8) {
      responder.reset();
      responder = std::make_unique<librbd::Responder>(std::move(keeper.attach().value()), "/view", table);
    }
  }
  // A good client is served after all of it.
  client = connection_to(path);
  const std::string ask = good[0] + ask_frame(77);
  CHECK(::send(client.get(), ask.data(), ask.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(ask.size()));
  std::string all;
  CHECK(until([&] {
    const ssize_t got = ::recv(client.get(), heard.data(), heard.size(), MSG_DONTWAIT);
    if (got > 0) all.append(heard.data(), static_cast<std::size_t>(got));
    return all.size() == 32;
  }));
  CHECK(all == frame_of(FrameType::registered, 0, "") + frame_of(FrameType::read_rados, 77, ""));
  std::printf("  %llu mutated frames, %llu answers heard\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(answers));
}

/** The connection over the bound is closed at once, and counted; one that ends makes room. */
void connections_over_the_bound(Checks& t) {
  constexpr std::uint32_t most = librbd::AnswerJournal::connections_max;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit before = limit;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 2 * most + 1000) return t.skip("too few descriptors");
  {
    Directory directory;
    const std::string path = directory.file("sock");
    librbd::Keeper keeper(std::move(librbd::listen_at(path, 0600, -1).value()));
    std::vector<OwnedFd> clients;
    for (std::uint32_t k = 0; k < most; k++) {
      clients.push_back(connection_to(path));
      // The queue of the listener is short.
      if (k % 64 == 0) CHECK(until([&] { return keeper.connections() == k + 1; }));
    }
    CHECK(until([&] { return keeper.connections() == most; }));
    CHECK(keeper.refused() == 0);
    const OwnedFd over = connection_to(path);
    std::byte byte{};
    CHECK(::recv(over.get(), &byte, 1, 0) == 0);
    CHECK(keeper.refused() == 1 && keeper.connections() == most);
    clients.pop_back();
    CHECK(until([&] { return keeper.connections() == most - 1; }));
    clients.push_back(connection_to(path));
    CHECK(until([&] { return keeper.connections() == most; }));
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
}

/** A service manager's socket: the descriptors that it is sent, with their names. */
std::vector<std::pair<std::string, OwnedFd>> held_by(int manager) {
  std::vector<std::pair<std::string, OwnedFd>> held;
  while (true) {
    std::array<char, 256> text{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec bytes{.iov_base = text.data(), .iov_len = text.size()};
    msghdr header{};
    header.msg_iov = &bytes;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(manager, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got <= 0) return held;
    const cmsghdr* rights = CMSG_FIRSTHDR(&header);
    if (rights == nullptr) continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    held.emplace_back(std::string(text.data(), static_cast<std::size_t>(got)), fd);
  }
}

/** Connections go on with another keeper where they were, to the byte; one that the manager has no room for ends. */
void kept_connections(Checks& t) {
  Directory directory;
  const std::string path = directory.file("sock");
  const std::string notify = directory.file("notify");
  const OwnedFd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, notify.c_str(), sizeof address.sun_path - 1);
  CHECK(::bind(manager.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const auto table = std::make_shared<librbd::ParentTable>([] {});
  const auto responder_of = [&](librbd::Keeper& keeper) {
    return std::make_unique<librbd::Responder>(std::move(keeper.attach().value()), "/view", table);
  };
  const auto hears = [&](const OwnedFd& client, const std::string& expected) {
    std::string all;
    std::array<char, 4096> bytes{};
    return until([&] {
      const ssize_t got = ::recv(client.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (got > 0) all.append(bytes.data(), static_cast<std::size_t>(got));
      return all.size() >= expected.size();
    }) && all == expected;
  };
  OwnedFd listener = std::move(librbd::listen_at(path, 0600, -1).value());
  OwnedFd same_listener(::dup(listener.get()));
  auto keeper = std::make_unique<librbd::Keeper>(std::move(listener), librbd::HeldConnections(notify, 2));
  OwnedFd same_journal(::dup(keeper->journal()));
  const auto journal = librbd::AnswerJournal::map(same_journal.get()).value();
  auto responder = responder_of(*keeper);
  std::vector<OwnedFd> clients;
  const std::string begun = frame_of(FrameType::register_client, 0, std::string("\2\0\0\0" "18", 6)) + ask_frame(1);
  const std::string next = ask_frame(2);
  for (int k = 0; k < 3; k++) {
    clients.push_back(connection_to(path));
    const std::string sent = begun + next.substr(0, 11 + static_cast<std::size_t>(k));
    CHECK(::send(clients.back().get(), sent.data(), sent.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(sent.size()));
    CHECK(hears(clients.back(), frame_of(FrameType::registered, 0, "") + frame_of(FrameType::read_rados, 1, "")));
  }
  auto held = held_by(manager.get());
  CHECK(held.size() == 2 && held.at(0).first == "FDSTORE=1\nFDNAME=librbd-0-1\n");
  CHECK(held.size() == 2 && held.at(1).first == "FDSTORE=1\nFDNAME=librbd-1-2\n");
  responder.reset();
  keeper.reset();
  std::byte byte{};
  CHECK(::recv(clients.at(2).get(), &byte, 1, 0) <= 0);
  // The slot of an earlier one that the manager has not dropped yet.
  librbd::KeptConnections kept{.journal = std::move(same_journal), .connections = {}};
  kept.connections.push_back({.fd = OwnedFd(::dup(0)), .number = 0, .slot = 1});
  kept.connections.push_back({.fd = std::move(held.at(0).second), .number = 1, .slot = 0});
  kept.connections.push_back({.fd = std::move(held.at(1).second), .number = 2, .slot = 1});
  keeper = std::make_unique<librbd::Keeper>(std::move(same_listener), librbd::HeldConnections(notify, 3), std::move(kept));
  responder = responder_of(*keeper);
  for (int k = 0; k < 2; k++) {
    const std::string rest = next.substr(11 + static_cast<std::size_t>(k));
    CHECK(::send(clients.at(static_cast<std::size_t>(k)).get(), rest.data(), rest.size(), MSG_NOSIGNAL) > 0);
    CHECK(hears(clients.at(static_cast<std::size_t>(k)), frame_of(FrameType::read_rados, 2, "")));
    CHECK(journal->slot(static_cast<std::uint32_t>(k)).registered == 2);
  }
  // Number 3 is in the journal: no other connection may take it.
  clients.push_back(connection_to(path));
  CHECK(until([&] { return keeper->connections() == 3; }));
  CHECK(until([&] {
    for (auto& each : held_by(manager.get())) held.push_back(std::move(each));
    return held.size() == 3;
  }));
  CHECK(held.back().first == "FDSTORE=1\nFDNAME=librbd-2-4\n");
  clients.erase(clients.begin());
  held.erase(held.begin());
  CHECK(until([&] { return keeper->connections() == 2; }));
}

}  // namespace
}  // namespace librbd_suite

Tests librbd_tests() {
  using namespace librbd_suite;
  return {{"librbd: a frame is whole, partial or broken, whatever its lengths say", frames},
          {"librbd: an object is cold until it is asked for often or again", cold_objects},
          {"librbd: of more than the cache holds a share is fetched", pressure},
          {"librbd: LOOKUPs of objects are answered natively, others are not", object_entries},
          {"librbd: one connection more than there may be is closed", connections_over_the_bound},
          {"librbd: connections outlive their keeper", kept_connections},
          {"librbd: mutated frames end nothing but their own connection", mutated}};
}

}  // namespace parentfs::test
