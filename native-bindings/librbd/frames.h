/**
 * Frames of the socket on which librbd asks for objects of a clone's parent: found in a stream, decoded, and made.
 *
 * No length in them is believed. Source: Ceph 18.2.7, src/tools/immutable_object_cache/Types.cc; frames captured from
 * librbd 18.2.7 (test/librbd/captured-frames.ts).
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace parentfs::librbd {

/** The header: two bytes of versions, and the length of what follows. */
inline constexpr std::size_t head_bytes = 6;
/** Type and sequence number, with which the payload begins. */
inline constexpr std::size_t preamble_bytes = 10;
/** Longest frame of a client: a READ has 49 bytes, the name of an object (at most 4096) and that of a namespace. */
inline constexpr std::size_t frame_bytes_max = 8192;
/** Longest frame of an answer: the path of an object of the view. */
inline constexpr std::size_t answer_bytes_max = 512;
/** Longest path that fits into one. */
inline constexpr std::size_t path_bytes_max = answer_bytes_max - head_bytes - preamble_bytes - 4;

enum class FrameType : std::uint16_t {
  register_client = 0x11,
  read = 0x12,
  registered = 0x13,
  path = 0x14,
  read_rados = 0x15,
};

/** One frame of a client; its bytes are those of the stream. */
struct Frame {
  std::uint8_t version;
  std::uint16_t type;
  std::uint64_t sequence;
  std::span<const std::byte> payload;
  /** With its header. */
  std::size_t bytes;
};

enum class Found { whole, partial, broken };

/** The first frame of a stream. `broken`: where the next one begins cannot be known. */
Found first_frame(std::span<const std::byte> stream, Frame& frame);

/** A client asks where an object of a parent is. */
struct ReadAsk {
  std::uint64_t pool_id;
  std::uint64_t snapshot_id;
  std::string_view object;
  std::string_view name_space;
  /** 0 where an old client does not say. */
  std::uint64_t object_bytes;
};

/** Nothing for a payload that ends too early. */
std::optional<ReadAsk> read_ask(const Frame& frame);
/** Does a REGISTER say a version? Clients that do not say one crash on an empty path. */
bool says_version(const Frame& frame);

/** Write an answer into `target`, of at least `answer_bytes_max`. @param path of a `path` answer. @returns its bytes */
std::size_t write_answer(std::span<std::byte> target, FrameType type, std::uint64_t sequence, std::string_view path = {});

}  // namespace parentfs::librbd
