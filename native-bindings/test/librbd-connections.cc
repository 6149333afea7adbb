/** librbd/ over real sockets: answers, connections, workers and keepers. FRAMES=n sets how many mutated frames, SEED=n another sequence. */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "librbd/answer-journal.h"
#include "librbd/channel.h"
#include "librbd/connection-keeper.h"
#include "librbd/parent-table.h"
#include "librbd/responder.h"
#include "test/images.h"
#include "test/librbd-frames.h"
#include "test/suites.h"

namespace parentfs::test {

namespace librbd_suite {
namespace {

using librbd::AnswerKind;
using librbd::FrameType;

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
  for (std::uint64_t sent = 0; sent < count; sent++) {
    std::string frame = good.at(random() % 2);
    // The length seldom: where it is wrong, what follows on this connection is not looked at.
    const std::size_t place = random() % frame.size();
    const bool is_length = place >= 2 && place < librbd::head_bytes;
    if (random() % 2 == 0 && (!is_length || random() % 64 == 0)) frame[place] = static_cast<char>(random());
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
    while (::recv(client.get(), heard.data(), heard.size(), MSG_DONTWAIT) > 0) {
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
  std::uint64_t answered = 0;
  for (std::size_t kind = 0; kind < librbd::answer_kinds; kind++) answered += table->counted(kind);
  CHECK(answered > count / 10);
  std::printf("  %llu mutated frames, %llu asks answered\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(answered));
}

/** A client that takes no answers is not read from; once it takes them it gets all of them, in order. */
void full_connection(Checks& t) {
  Directory directory;
  const std::string path = directory.file("sock");
  librbd::Keeper keeper(std::move(librbd::listen_at(path, 0600, -1).value()));
  const auto table = std::make_shared<librbd::ParentTable>([] {});
  const librbd::Responder responder(std::move(keeper.attach().value()), "/view", table);
  const OwnedFd client = connection_to(path);
  // Both directions are full, unless the machine is slow.
  const timeval pause{.tv_sec = 0, .tv_usec = 300'000};
  CHECK(::setsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &pause, sizeof pause) == 0);
  std::uint64_t asked = 0;
  std::string rest;
  while (rest.empty()) {
    rest = ask_frame(++asked);
    const ssize_t sent = ::send(client.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    rest.erase(0, static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
  }
  // Nothing more is sent meanwhile: that would wake the responder.
  for (std::uint64_t sequence = 1; sequence < asked; sequence++) {
    std::array<char, 16> answer{};
    std::size_t heard = 0;
    CHECK(until([&] {
      const ssize_t got = ::recv(client.get(), &answer[heard], answer.size() - heard, MSG_DONTWAIT);
      heard += static_cast<std::size_t>(std::max<ssize_t>(got, 0));
      return heard == answer.size();
    }));
    CHECK(frame_of(FrameType::read_rados, sequence, "") == std::string_view(answer.data(), answer.size()));
    if (t.failed()) return;
  }
  std::printf("  full after %llu asks\n", static_cast<unsigned long long>(asked));
}

/** The bytes that a client hears within ten seconds, until they end with `last`. */
std::string heard_by(const OwnedFd& client, const std::string& last) {
  std::string heard;
  (void)until([&] {
    std::array<char, 256> place{};
    const ssize_t got = ::recv(client.get(), place.data(), place.size(), MSG_DONTWAIT);
    if (got > 0) heard.append(place.data(), static_cast<std::size_t>(got));
    return heard.ends_with(last);
  }, std::chrono::seconds(10));
  return heard;
}

/**
 * A worker has died in the middle of two answers, the first of three frames.
 * @param sent those of the answers that went
 * @param is_taken are these frames out of the socket?
 * @returns the answers of the next worker, and that to one more frame
 */
std::string answers_after(std::uint32_t sent, bool is_taken) {
  auto [ours, theirs] = std::move(librbd::make_channel().value());
  const OwnedFd memory = std::move(librbd::AnswerJournal::make().value());
  const auto journal = librbd::AnswerJournal::map(memory.get()).value();
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
  const OwnedFd client(ends[0]);
  const OwnedFd server(ends[1]);
  const auto say = [&](std::uint64_t sequence) {
    const std::string ask = ask_frame(sequence);
    if (::send(client.get(), ask.data(), ask.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(ask.size())) std::abort();
  };
  librbd::AnswerJournal::Slot& slot = journal->begin(5, 77);
  slot.registered = 2;
  slot.count = 2;
  for (std::uint32_t k = 0; k < 2; k++) {
    slot.sequences.at(k) = k + 1;
    slot.frame_bytes.at(k) = static_cast<std::uint32_t>(ask_frame(k + 1).size());
    slot.messages.at(k).msg_len = k < sent ? 16 : 0;
  }
  for (std::uint64_t sequence = is_taken ? 3 : 1; sequence <= 3; sequence++) say(sequence);
  if (librbd::hand_over(ours.get(), {.connection = 0, .slot = 0, .padding = 0}, memory.get()) != 0) std::abort();
  if (librbd::hand_over(ours.get(), {.connection = 77, .slot = 5, .padding = 0}, server.get()) != 0) std::abort();
  const librbd::Responder responder(std::move(theirs), "/view", std::make_shared<librbd::ParentTable>([] {}));
  (void)until([&] { return slot.count == 0; });
  say(4);
  return heard_by(client, frame_of(FrameType::read_rados, 4, ""));
}

void answers_once(Checks& t) {
  const auto of = [](std::uint64_t sequence) { return frame_of(FrameType::read_rados, sequence, ""); };
  CHECK(answers_after(2, false) == of(3) + of(4));
  CHECK(answers_after(1, false) == of(2) + of(3) + of(4));
  CHECK(answers_after(0, false) == of(1) + of(2) + of(3) + of(4));
  CHECK(answers_after(2, true) == of(3) + of(4));
}

std::pair<OwnedFd, OwnedFd> connected_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
  return {OwnedFd(ends[0]), OwnedFd(ends[1])};
}

void say(const OwnedFd& client, const std::string& frames) {
  if (::send(client.get(), frames.data(), frames.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(frames.size())) std::abort();
}

void slot_over_the_bound(Checks& t) {
  auto [ours, theirs] = std::move(librbd::make_channel().value());
  const OwnedFd memory = std::move(librbd::AnswerJournal::make().value());
  const auto [over, over_server] = connected_pair();
  const auto [last, last_server] = connected_pair();
  constexpr std::uint32_t most = librbd::AnswerJournal::connections_max;
  CHECK(librbd::hand_over(ours.get(), {.connection = 0, .slot = 0, .padding = 0}, memory.get()) == 0);
  CHECK(librbd::hand_over(ours.get(), {.connection = 1, .slot = most, .padding = 0}, over_server.get()) == 0);
  CHECK(librbd::hand_over(ours.get(), {.connection = 2, .slot = most - 1, .padding = 0}, last_server.get()) == 0);
  const librbd::Responder responder(std::move(theirs), "/view", std::make_shared<librbd::ParentTable>([] {}));
  for (const OwnedFd* client : {&over, &last}) say(*client, ask_frame(1));
  const std::string answer = frame_of(FrameType::read_rados, 1, "");
  CHECK(heard_by(last, answer) == answer);
  CHECK(responder.counters().connections == 1);
}

/** Of an object that does not exist: clients that say no version crash on an empty path. */
void absent_by_version(Checks& t) {
  const auto text = [](const std::string& words) {
    std::string payload;
    append(payload, static_cast<std::uint32_t>(words.size()));
    return payload + words;
  };
  const auto table = std::make_shared<librbd::ParentTable>([] {});
  librbd::KnownParent parent;
  parent.image = 0x80000007;
  parent.order = 22;
  parent.size_bytes = std::uint64_t{3} << 22U;
  parent.existing = {std::byte{0}};
  table->set({.pool_id = 1, .snapshot_id = 4, .name_space = "", .prefix = "rbd_data.1"}, parent);
  Directory directory;
  const std::string path = directory.file("sock");
  librbd::Keeper keeper(std::move(librbd::listen_at(path, 0600, -1).value()));
  const librbd::Responder responder(std::move(keeper.attach().value()), "/view", table);
  for (const auto& [said, wanted] : {std::pair<std::string, std::string>{text("17.2.0"), ""}, {text(""), "/view/absent"}, {"", "/view/absent"}}) {
    const OwnedFd client = connection_to(path);
    say(client, frame_of(FrameType::register_client, 1, said) + ask_frame(2));
    const std::string answer = frame_of(FrameType::path, 2, text(wanted));
    CHECK(heard_by(client, answer) == frame_of(FrameType::registered, 1, "") + answer);
  }
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

Tests librbd_connection_tests() {
  using namespace librbd_suite;
  return {{"librbd: what a worker that died has answered is answered once", answers_once},
          {"librbd: a client that takes its answers late gets all of them", full_connection},
          {"librbd: one connection more than there may be is closed", connections_over_the_bound},
          {"librbd: a connection at a place behind the journal's last is not taken", slot_over_the_bound},
          {"librbd: an object that does not exist has an empty path for clients that say their version", absent_by_version},
          {"librbd: connections outlive their keeper", kept_connections},
          {"librbd: mutated frames end nothing but their own connection", mutated}};
}

}  // namespace parentfs::test
