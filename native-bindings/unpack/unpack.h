/**
 * Unpacking of the clusters of packed disk images, with the zlib of the process and with libzstd, which is looked up
 * when it is first needed. Neither needs a header to be built.
 *
 * The streams were written by a stranger: none writes past its target, and none makes more than some MiB of memory of
 * its own.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace parentfs::unpack {

/** Raw deflate (RFC 1951), deflate with zlib's header and sum (RFC 1950), and Zstandard (RFC 8878). */
enum class Packing : std::uint8_t { deflate, zlib, zstd };

/** Empty when it can be unpacked here, else what is missing. */
std::string complaint(Packing packing);

/** Unpacks stream after stream of one packing; for one thread at a time. `complaint` must have been empty. */
class Unpacker {
 public:
  virtual ~Unpacker() = default;
  /**
   * @param packed begins with a stream; bytes after its end do not matter
   * @returns true when the stream ended, and gave `bytes_min` to `target.size()` bytes, which are in `target`
   */
  virtual bool unpack(std::span<const std::byte> packed, std::span<std::byte> target, std::size_t bytes_min) = 0;
};

/** Null without memory. */
std::unique_ptr<Unpacker> create_unpacker(Packing packing);

}  // namespace parentfs::unpack
