/**
 * crc32c (Castagnoli), the checksum of a block. Source: RFC 3720, B.4; polynomial 0x1EDC6F41, reflected.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace parentfs::disk {

/** With the processor's own instruction where it has one, else with tables: the same bits. */
std::uint32_t crc32c(std::span<const std::byte> bytes);
/** With tables, on any processor. */
std::uint32_t crc32c_portable(std::span<const std::byte> bytes);

}  // namespace parentfs::disk
