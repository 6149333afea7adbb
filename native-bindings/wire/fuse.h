/**
 * The little of the FUSE protocol that native code speaks: the header of a request, READ, the number of LOOKUP, and the
 * header of an answer.
 *
 * Declared here and not taken from the system's header, which can be older than the kernel. All of it is in the byte
 * order of the machine. Source: Linux include/uapi/linux/fuse.h, 7.36 and newer.
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace parentfs::wire {

/** struct fuse_in_header. */
struct InHeader {
  std::uint32_t length;
  std::uint32_t opcode;
  /** Eight opaque bytes: they go back as they came. */
  std::uint64_t unique;
  std::uint64_t node_id;
  std::uint32_t uid;
  std::uint32_t gid;
  std::uint32_t pid;
  /** Of extensions at the end of the request, in units of 8 bytes. */
  std::uint16_t extension_length;
  std::uint16_t padding;
};
static_assert(sizeof(InHeader) == 40);

/** struct fuse_read_in. */
struct ReadIn {
  std::uint64_t fh;
  std::uint64_t offset;
  std::uint32_t size;
  std::uint32_t read_flags;
  std::uint64_t lock_owner;
  /** Those of the open file, as open(2) knows them. Source: Linux fs/fuse/file.c, fuse_read_args_fill. */
  std::uint32_t flags;
  std::uint32_t padding;
};
static_assert(sizeof(ReadIn) == 40);

/** struct fuse_out_header. */
struct OutHeader {
  std::uint32_t length;
  /** 0, or a negative errno; positive in a notification. */
  std::int32_t error;
  std::uint64_t unique;
};
static_assert(sizeof(OutHeader) == 16);

/** FUSE_LOOKUP, and the node id of the root. */
inline constexpr std::uint32_t opcode_lookup = 1;
inline constexpr std::uint64_t root_node_id = 1;
/** FUSE_READ. */
inline constexpr std::uint32_t opcode_read = 15;

/** Longest READ that we ask the kernel for: 256 pages of 4 KiB. Source: fs/fuse/fuse_i.h, FUSE_MAX_MAX_PAGES. */
inline constexpr std::size_t read_bytes_max = std::size_t{256} * 4096;

/**
 * Room for one request. The kernel refuses to fill a buffer with less than the headers of a WRITE and max_write bytes
 * behind them (EINVAL), so this bounds what INIT may answer as max_write. Source: fs/fuse/dev.c, fuse_dev_do_read.
 */
inline constexpr std::size_t request_bytes_max = std::size_t{256} * 1024 + 4096;

}  // namespace parentfs::wire
