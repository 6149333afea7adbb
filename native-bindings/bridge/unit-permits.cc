/** The methods of UnitPermits, in the order of src/native/unit-permits.ts. */
#include "bridge/unit-permits.h"

#include <utility>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/origin-reader.h"

namespace parentfs::bridge {

Napi::Function UnitPermits::define(Napi::Env env) {
  return DefineClass(env, "UnitPermits",
                     {InstanceMethod("replace", &UnitPermits::replace), InstanceMethod("permit", &UnitPermits::permit),
                      InstanceMethod("guard", &UnitPermits::guard)});
}

UnitPermits::UnitPermits(const Napi::CallbackInfo& info)
    : ObjectWrap(info), permits_(made_by_us<std::shared_ptr<image::UnitPermits>>(info)) {}

void UnitPermits::replace(const Napi::CallbackInfo& info) { permits_->replace(bytes(info[0], "bits")); }

void UnitPermits::permit(const Napi::CallbackInfo& info) { permits_->permit(whole_number(info[0], "unit")); }

Napi::Value UnitPermits::guard(const Napi::CallbackInfo& info) {
  auto reader = source_of(info[0]);
  if (!reader) throw Napi::TypeError::New(info.Env(), "reader must be an OriginReader");
  return source_value(info.Env(), std::make_shared<image::PermittedReader>(std::move(reader), permits_));
}

}  // namespace parentfs::bridge
