/** The methods of ConnectionPool, in the order of src/native/connection-pool.ts. */
#include "bridge/connection-pool.h"

#include <chrono>
#include <limits>
#include <string>
#include <utility>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/errors.h"
#include "bridge/origin-reader.h"
#include "http/range-reader.h"

namespace parentfs::bridge {

namespace {

constexpr std::uint32_t small_number_max = std::numeric_limits<std::uint32_t>::max();

std::chrono::milliseconds milliseconds(const Napi::Value& value, const char* name) {
  return std::chrono::milliseconds(small_number(value, name, small_number_max));
}

/** Nothing for null. Values of headers are bytes, each a character of JavaScript's. */
std::string header_value(const Napi::Value& value, const char* name) {
  const auto given = bytes_or_null(value, name);
  return {reinterpret_cast<const char*>(given.data()), given.size()};
}

}  // namespace

Napi::Function ConnectionPool::define(Napi::Env env) {
  return DefineClass(env, "ConnectionPool",
                     {InstanceMethod("add", &ConnectionPool::add), InstanceMethod("reader", &ConnectionPool::reader),
                      InstanceMethod("isOver", &ConnectionPool::is_over), InstanceMethod("news", &ConnectionPool::news),
                      InstanceMethod("size", &ConnectionPool::size), InstanceMethod("expire", &ConnectionPool::expire),
                      InstanceMethod("close", &ConnectionPool::close)});
}

ConnectionPool::ConnectionPool(const Napi::CallbackInfo& info)
    : ObjectWrap(info), pool_(made_by_us<std::shared_ptr<http::ConnectionPool>>(info)) {}

void ConnectionPool::add(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), pool_->add(small_number(info[0], "connection", small_number_max)), "send");
}

Napi::Value ConnectionPool::reader(const Napi::CallbackInfo& info) {
  const auto request = bytes(info[0], "request");
  http::Version version{.size_bytes = whole_number(info[1], "sizeBytes"),
                        .etag = header_value(info[2], "etag"),
                        .last_modified = header_value(info[3], "lastModified")};
  const auto until = http::RangeReader::Clock::now() + milliseconds(info[4], "ms");
  std::string text(reinterpret_cast<const char*>(request.data()), request.size());
  return source_value(info.Env(),
                      std::make_shared<http::RangeReader>(pool_, std::move(text), std::move(version), until));
}

Napi::Value ConnectionPool::is_over(const Napi::CallbackInfo& info) {
  const auto reader = std::dynamic_pointer_cast<http::RangeReader>(source_of(info[0]));
  if (!reader) throw Napi::TypeError::New(info.Env(), "reader must be one of this pool's");
  return Napi::Boolean::New(info.Env(), reader->is_over());
}

Napi::Value ConnectionPool::news(const Napi::CallbackInfo& info) {
  const auto [starved, failed] = pool_->take_news();
  const auto made = Napi::Object::New(info.Env());
  made.Set("starved", starved);
  made.Set("failed", failed);
  return made;
}

Napi::Value ConnectionPool::size(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(pool_->size()));
}

void ConnectionPool::expire(const Napi::CallbackInfo& info) {
  pool_->expire(milliseconds(info[0], "idleMs"), milliseconds(info[1], "exchangeMs"));
}

void ConnectionPool::close(const Napi::CallbackInfo& /*info*/) { pool_->close(); }

}  // namespace parentfs::bridge
