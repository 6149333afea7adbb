/** The methods of OriginGrant, in the order of src/native/origin-reader.ts. */
#include "bridge/grant.h"

#include <limits>
#include <utility>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/origin-reader.h"

namespace parentfs::bridge {

Napi::Function OriginGrant::define(Napi::Env env) {
  return DefineClass(env, "OriginGrant",
                     {InstanceMethod("limit", &OriginGrant::limit), InstanceMethod("refill", &OriginGrant::refill),
                      InstanceMethod("reader", &OriginGrant::reader)});
}

OriginGrant::OriginGrant(const Napi::CallbackInfo& info)
    : ObjectWrap(info), grant_(made_by_us<std::shared_ptr<image::Grant>>(info)) {}

Napi::Value OriginGrant::limit(const Napi::CallbackInfo& info) {
  const auto reads_max = small_number(info[0], "readsMax", std::numeric_limits<std::int32_t>::max());
  return Napi::Number::New(info.Env(), grant_->limit(reads_max));
}

Napi::Value OriginGrant::refill(const Napi::CallbackInfo& info) {
  const auto [reads, bytes] =
      grant_->refill({.reads = whole_number(info[0], "reads"), .bytes = whole_number(info[1], "bytes")});
  const auto made = Napi::Object::New(info.Env());
  made.Set("reads", static_cast<double>(reads));
  made.Set("bytes", static_cast<double>(bytes));
  return made;
}

Napi::Value OriginGrant::reader(const Napi::CallbackInfo& info) {
  auto reader = source_of(info[0]);
  if (!reader) throw Napi::TypeError::New(info.Env(), "reader must be an OriginReader");
  return source_value(info.Env(), std::make_shared<image::GrantedReader>(std::move(reader), grant_));
}

}  // namespace parentfs::bridge
