/** session/: the view of objects, in which LOOKUPs and READs name a part of an image. */
#include <linux/fuse.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>

#include "test/fake-kernel.h"
#include "test/images.h"
#include "test/suites.h"
#include "wire/object-node.h"

namespace parentfs::test {

namespace session_objects_suite {
namespace {

using session::ObjectEntries;
static_assert(sizeof(fuse_entry_out) == ObjectEntries::entry_bytes);

constexpr std::uint64_t image_number = 0x8000'0007;
constexpr std::uint32_t order = 16;
constexpr std::uint64_t object_bytes = std::uint64_t{1} << order;
constexpr std::uint64_t unique = 0x42;

std::uint64_t node_of(std::uint64_t number) {
  return wire::ObjectNode{.image = image_number, .order = order, .number = number}.id();
}

/** LOOKUP as the kernel writes it. */
std::vector<std::byte> lookup_request(std::string name, std::uint64_t parent = wire::root_node_id) {
  name.push_back('\0');
  wire::InHeader header{};
  header.length = static_cast<std::uint32_t>(sizeof header + name.size());
  header.opcode = wire::opcode_lookup;
  header.unique = unique;
  header.node_id = parent;
  std::vector<std::byte> bytes(header.length);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(&bytes[sizeof header], name.data(), name.size());
  return bytes;
}

std::string name_of(std::uint64_t number) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(node_of(number)));
  return text.data();
}

std::vector<std::byte> object_read(std::uint64_t number, std::uint64_t offset, std::uint32_t size) {
  auto request = read_request(unique, 0, offset, size);
  const std::uint64_t node = node_of(number);
  std::memcpy(&request[offsetof(wire::InHeader, node_id)], &node, sizeof node);
  return request;
}

/** An image of three objects, of which the last one has 1000 bytes. */
struct World {
  World() {
    fuse_entry_out entry{};
    entry.entry_valid = 77;
    entry.attr.mode = 0100444;
    std::memcpy(given.data(), &entry, sizeof entry);
    rig.session.set_entry(image_number, image.file->geometry().size_bytes(), given);
    rig.session.bind(image_number, image.file);
  }
  Rig rig{2, 2, session::Addressing::by_object};
  Image image{2 * object_bytes + 1000, 4096};
  ObjectEntries::Entry given{};
};

void lookups(Checks& t) {
  World world;
  const auto expect = [&](std::uint64_t number, std::uint64_t bytes) {
    world.rig.kernel.ask(lookup_request(name_of(number)));
    const auto answer = world.rig.kernel.answer();
    fuse_entry_out entry{};
    CHECK(answer && answer->header.error == 0 && answer->header.unique == unique && answer->bytes.size() == sizeof entry);
    if (!answer || answer->bytes.size() != sizeof entry) return;
    std::memcpy(&entry, answer->bytes.data(), sizeof entry);
    CHECK(entry.nodeid == node_of(number) && entry.attr.ino == (node_of(number) & ~(std::uint64_t{1} << 63U)));
    CHECK(entry.attr.size == bytes && entry.attr.blocks == (bytes + 511) / 512);
    CHECK(entry.entry_valid == 77 && entry.attr.mode == 0100444);
  };
  expect(0, object_bytes);
  expect(2, 1000);
  const auto expect_forward = [&](const std::vector<std::byte>& request) {
    world.rig.kernel.ask(request);
    const auto forwarded = world.rig.next_forwarded();
    CHECK(forwarded.size() == request.size() && std::equal(forwarded.begin() + 4, forwarded.end(), request.begin() + 4));
  };
  expect_forward(lookup_request(name_of(3)));
  expect_forward(lookup_request("absent"));
  expect_forward(lookup_request(name_of(0), node_of(0)));
  auto odd = lookup_request(name_of(0));
  odd[offsetof(wire::InHeader, extension_length)] = std::byte{1};
  expect_forward(odd);
  odd = lookup_request(name_of(0));
  odd[0] = std::byte{1};  // Its header says less than came.
  expect_forward(odd);
  // An image that fills its last object has no further one.
  world.rig.session.set_entry(image_number, 2 * object_bytes, world.given);
  expect(1, object_bytes);
  expect_forward(lookup_request(name_of(2)));
  world.rig.session.remove_entry(image_number);
  expect_forward(lookup_request(name_of(0)));
}

void reads(Checks& t) {
  World world;
  world.image.promote_all();
  const auto expect = [&](std::uint64_t number, std::uint64_t offset, std::uint32_t size, std::size_t bytes) {
    world.rig.kernel.ask(object_read(number, offset, size));
    const auto answer = world.rig.kernel.answer();
    CHECK(answer && answer->header.error == 0 && answer->bytes.size() == bytes);
    CHECK(answer && is_image(answer->bytes, number * object_bytes + offset));
  };
  expect(0, 0, 4096, 4096);
  expect(1, 100, object_bytes, object_bytes - 100);  // Nothing of the object behind it.
  expect(1, object_bytes - 1, 4096, 1);
  expect(1, object_bytes, 4096, 0);
  expect(0, ~std::uint64_t{0}, 4096, 0);
  expect(2, 500, 4096, 500);
  expect(3, 0, 4096, 0);
  auto odd = object_read(0, 0, 4096);
  odd[0] = std::byte{79};
  world.rig.kernel.ask(odd);
  CHECK(world.rig.next_forwarded().size() == odd.size());
}

}  // namespace
}  // namespace session_objects_suite

Tests session_objects_tests() {
  using namespace session_objects_suite;
  return {
      {"a LOOKUP of an object is answered natively, and every other one is handed over", lookups},
      {"a READ of an object ends with it", reads},
  };
}

}  // namespace parentfs::test
