/**
 * Comparison for the hit path: a FUSE server that preads and writes, and knows nothing of blocks, objects or caches.
 *
 *   comparison-server FILE MOUNTPOINT THREADS
 *
 * Shows FILE as MOUNTPOINT/image, with the same wire code, the same INIT flags and the same open flags as parentfs. It
 * says `ready` when it is mounted, and ends when it is unmounted. Everything but READ is as plain as the kernel
 * accepts.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "session/reply.h"
#include "disk/aligned-buffer.h"
#include "syscalls/mount.h"
#include "wire/cursor.h"
#include "wire/fuse.h"

namespace {

using parentfs::session::ReplyBuffer;
using parentfs::session::write_reply;
using parentfs::wire::Cursor;
using parentfs::wire::InHeader;
using parentfs::wire::ReadIn;

constexpr std::uint64_t image_node = 2;
constexpr std::uint64_t valid_seconds = 3600;

/** Constants that all threads share. */
struct Server {
  int device;
  int file;
  std::uint64_t size_bytes;
};

template <class Out>
void reply(const Server& server, std::uint64_t unique, const Out& out) {
  write_reply(server.device, unique, 0, std::as_bytes(std::span(&out, 1)));
}

fuse_attr attributes(const Server& server, std::uint64_t node) {
  fuse_attr attr{};
  attr.ino = node;
  attr.size = node == image_node ? server.size_bytes : 0;
  attr.blocks = (attr.size + 511) / 512;
  attr.mode = node == image_node ? S_IFREG | 0444 : S_IFDIR | 0555;
  attr.nlink = 1;
  attr.blksize = 4096;
  return attr;
}

void init(const Server& server, const InHeader& header, const fuse_init_in& in) {
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = std::min<std::uint32_t>(in.minor, FUSE_KERNEL_MINOR_VERSION);
  out.max_readahead = in.max_readahead;
  out.flags = FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES;
  out.max_background = 65535;
  out.congestion_threshold = 49151;
  out.max_write = 4096;
  out.time_gran = 1;
  out.max_pages = 256;
  reply(server, header.unique, out);
}

void lookup(const Server& server, const InHeader& header, std::span<const std::byte> name) {
  const std::string_view wanted("image\0", 6);
  if (name.size() != wanted.size() || std::memcmp(name.data(), wanted.data(), name.size()) != 0) {
    write_reply(server.device, header.unique, -ENOENT, {});
    return;
  }
  fuse_entry_out out{};
  out.nodeid = image_node;
  out.entry_valid = valid_seconds;
  out.attr_valid = valid_seconds;
  out.attr = attributes(server, image_node);
  reply(server, header.unique, out);
}

void get_attributes(const Server& server, const InHeader& header) {
  fuse_attr_out out{};
  out.attr_valid = valid_seconds;
  out.attr = attributes(server, header.node_id);
  reply(server, header.unique, out);
}

void read(const Server& server, const InHeader& header, const ReadIn& in, const ReplyBuffer& buffer) {
  const auto bytes = buffer.bytes(std::min<std::size_t>(in.size, parentfs::wire::read_bytes_max));
  const ssize_t got = ::pread(server.file, bytes.data(), bytes.size(), static_cast<off_t>(in.offset));
  if (got < 0) {
    write_reply(server.device, header.unique, -errno, {});
  } else {
    buffer.send(server.device, header.unique, static_cast<std::size_t>(got));
  }
}

void serve(const Server& server, std::span<const std::byte> request, const ReplyBuffer& buffer) {
  Cursor cursor(request);
  const auto header = cursor.take<InHeader>();
  if (!header) return;
  if (header->opcode == FUSE_READ) {
    if (const auto in = cursor.take<ReadIn>()) read(server, *header, *in, buffer);
  } else if (header->opcode == FUSE_INIT) {
    if (const auto in = cursor.take<fuse_init_in>()) init(server, *header, *in);
  } else if (header->opcode == FUSE_LOOKUP) {
    lookup(server, *header, request.subspan(sizeof(InHeader)));
  } else if (header->opcode == FUSE_GETATTR) {
    get_attributes(server, *header);
  } else if (header->opcode == FUSE_OPEN) {
    fuse_open_out out{};
    out.open_flags = FOPEN_KEEP_CACHE;
    reply(server, header->unique, out);
  } else if (header->opcode == FUSE_RELEASE) {
    write_reply(server.device, header->unique, 0, {});
  } else if (header->opcode != FUSE_FORGET && header->opcode != FUSE_BATCH_FORGET) {
    write_reply(server.device, header->unique, -ENOSYS, {});
  }
}

void work(const Server& server) {
  const parentfs::disk::AlignedBuffer requests(parentfs::wire::request_bytes_max);
  const parentfs::disk::AlignedBuffer replies(ReplyBuffer::header_room + parentfs::wire::read_bytes_max);
  const ReplyBuffer buffer(replies.bytes());
  while (true) {
    const ssize_t got = ::read(server.device, requests.bytes().data(), requests.bytes().size());
    if (got > 0) {
      serve(server, requests.bytes().first(static_cast<std::size_t>(got)), buffer);
    } else if (errno != ENOENT && errno != EINTR && errno != EAGAIN) {
      return;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: comparison-server FILE MOUNTPOINT THREADS\n");
    return 2;
  }
  const parentfs::OwnedFd file(::open(argv[1], O_RDONLY | O_CLOEXEC));
  struct stat facts {};
  if (file.get() < 0 || ::fstat(file.get(), &facts) != 0) {
    std::perror(argv[1]);
    return 1;
  }
  auto device = parentfs::syscalls::open_fuse();
  const int error =
      device.ok() ? parentfs::syscalls::mount_fuse(device.value().get(), "comparison", argv[2],
                                                   "rootmode=40000,user_id=0,group_id=0,allow_other,max_read=1048576")
                  : device.error();
  if (error != 0) {
    std::fprintf(stderr, "%s: %s\n", argv[2], std::strerror(error));
    return 1;
  }
  const Server server{
      .device = device.value().get(), .file = file.get(), .size_bytes = static_cast<std::uint64_t>(facts.st_size)};
  std::vector<std::thread> threads;
  for (int k = 0; k < std::atoi(argv[3]); k++) threads.emplace_back([&] { work(server); });
  std::puts("ready");
  std::fflush(stdout);
  for (std::thread& thread : threads) thread.join();
  return 0;
}
