/**
 * Arguments from JavaScript, taken as what they must be: a TypeError or RangeError names the one that is not.
 */
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

namespace parentfs::bridge {

/** The largest number that an int holds. */
inline constexpr std::uint32_t int_max = std::numeric_limits<std::int32_t>::max();

/** A safe integer, 0 or more. */
std::uint64_t whole_number(const Napi::Value& value, const char* name);
/** The same, at most `max`. */
std::uint32_t small_number(const Napi::Value& value, const char* name, std::uint32_t max);
/** A bigint of 64 bits without a sign. */
std::uint64_t word(const Napi::Value& value, const char* name);
bool flag(const Napi::Value& value, const char* name);
std::string text(const Napi::Value& value, const char* name);
Napi::Object object(const Napi::Value& value, const char* name);
Napi::Array array(const Napi::Value& value, const char* name);
Napi::Function function(const Napi::Value& value, const char* name);
/** A Uint8Array. The memory is that of JavaScript: keep a reference while it is used. */
std::span<std::byte> bytes(const Napi::Value& value, const char* name);
/** A Uint8Array, or nothing for null. */
std::span<std::byte> bytes_or_null(const Napi::Value& value, const char* name);

}  // namespace parentfs::bridge
