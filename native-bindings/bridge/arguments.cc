/** Arguments, checked. */
#include "bridge/arguments.h"

#include <cmath>

namespace parentfs::bridge {

namespace {

/** Number.MAX_SAFE_INTEGER. */
constexpr double safe_integer_max = 9007199254740991.0;

[[noreturn]] void fail_type(const Napi::Value& value, const char* name, const char* wanted) {
  throw Napi::TypeError::New(value.Env(), std::string(name) + " must be " + wanted);
}

}  // namespace

std::uint64_t whole_number(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) fail_type(value, name, "a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= safe_integer_max) || std::trunc(number) != number) {
    throw Napi::RangeError::New(value.Env(), std::string(name) + " must be a whole number, 0 to 2^53 - 1");
  }
  return static_cast<std::uint64_t>(number);
}

std::uint32_t small_number(const Napi::Value& value, const char* name, std::uint32_t max) {
  const std::uint64_t number = whole_number(value, name);
  if (number > max) {
    throw Napi::RangeError::New(value.Env(), std::string(name) + " must be at most " + std::to_string(max));
  }
  return static_cast<std::uint32_t>(number);
}

std::uint64_t word(const Napi::Value& value, const char* name) {
  if (!value.IsBigInt()) fail_type(value, name, "a bigint");
  bool lossless = false;
  const std::uint64_t taken = value.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) throw Napi::RangeError::New(value.Env(), std::string(name) + " must be 0 to 2^64 - 1");
  return taken;
}

bool flag(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) fail_type(value, name, "a boolean");
  return value.As<Napi::Boolean>().Value();
}

std::string text(const Napi::Value& value, const char* name) {
  if (!value.IsString()) fail_type(value, name, "a string");
  std::string taken = value.As<Napi::String>().Utf8Value();
  if (taken.find('\0') != std::string::npos) fail_type(value, name, "a string without NUL");
  return taken;
}

Napi::Object object(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) fail_type(value, name, "an object");
  return value.As<Napi::Object>();
}

Napi::Array array(const Napi::Value& value, const char* name) {
  if (!value.IsArray()) fail_type(value, name, "an array");
  return value.As<Napi::Array>();
}

Napi::Function function(const Napi::Value& value, const char* name) {
  if (!value.IsFunction()) fail_type(value, name, "a function");
  return value.As<Napi::Function>();
}

std::span<std::byte> bytes(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    fail_type(value, name, "a Uint8Array");
  }
  auto array = value.As<Napi::Uint8Array>();
  return {reinterpret_cast<std::byte*>(array.Data()), array.ByteLength()};
}

std::span<std::byte> bytes_or_null(const Napi::Value& value, const char* name) {
  return value.IsNull() ? std::span<std::byte>() : bytes(value, name);
}

}  // namespace parentfs::bridge
