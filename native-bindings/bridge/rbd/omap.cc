/** The methods of CephPool that concern the omap of an object, and CephWatch, in the order of src/native/ceph-types.ts. */
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/errors.h"
#include "bridge/rbd/classes.h"

namespace parentfs::bridge {

namespace {

constexpr std::uint32_t entries_max = 1U << 20U;
constexpr std::uint32_t notify_ms_max = 60'000;

}  // namespace

Napi::Value CephPool::omap_entries(const Napi::CallbackInfo& info) {
  auto work = [pool = open(info.Env()), object = text(info[0], "name"), prefix = text(info[1], "prefix"),
               count_max = small_number(info[2], "countMax", entries_max)](rbd::Problem& problem) {
    return [entries = rbd::omap_entries(*pool, object, prefix, count_max, problem)](Napi::Env env) -> Napi::Value {
      const Napi::Array made = Napi::Array::New(env, entries.size() * 2);
      for (std::uint32_t k = 0; k < entries.size(); k++) {
        made.Set(k * 2, Napi::String::New(env, entries[k].key));
        made.Set(k * 2 + 1, Napi::String::New(env, entries[k].value));
      }
      return made;
    };
  };
  return call_for(info.Env(), pool_->threads(), "rados_read_op_operate", std::move(work));
}

Napi::Value CephPool::set_omap_entry(const Napi::CallbackInfo& info) {
  auto work = [pool = open(info.Env()), object = text(info[0], "name"),
               entry = rbd::OmapEntry{.key = text(info[1], "key"), .value = text(info[2], "value")}](
                  rbd::Problem& problem) {
    rbd::set_omap_entry(*pool, object, entry, problem);
    return [](Napi::Env env) { return env.Undefined(); };
  };
  return call_for(info.Env(), pool_->threads(), "rados_write_op_operate", std::move(work));
}

Napi::Value CephPool::remove_omap_entry(const Napi::CallbackInfo& info) {
  auto work = [pool = open(info.Env()), object = text(info[0], "name"),
               key = text(info[1], "key")](rbd::Problem& problem) {
    rbd::remove_omap_entry(*pool, object, key, problem);
    return [](Napi::Env env) { return env.Undefined(); };
  };
  return call_for(info.Env(), pool_->threads(), "rados_write_op_operate", std::move(work));
}

Napi::Value CephPool::notify_watchers(const Napi::CallbackInfo& info) {
  auto work = [pool = open(info.Env()), object = text(info[0], "name"),
               ms_max = small_number(info[1], "msMax", notify_ms_max)](rbd::Problem& problem) {
    rbd::notify_watchers(*pool, object, ms_max, problem);
    return [](Napi::Env env) { return env.Undefined(); };
  };
  return call_for(info.Env(), pool_->threads(), "rados_notify2", std::move(work));
}

Napi::Value CephPool::watch(const Napi::CallbackInfo& info) {
  auto work = [pool = open(info.Env()), object = text(info[0], "name")](rbd::Problem& problem) {
    const auto notices = std::make_shared<Notices>();
    const auto watched = std::make_shared<WatchedObject>();
    watched->watch = rbd::Watch::open(pool, object, [notices](int error) { notices->came(error); }, problem);
    watched->notices = notices;
    return [watched](Napi::Env env) { return wrap(env, CephClasses::of(env).watch, watched); };
  };
  return call_for(info.Env(), pool_->threads(), "rados_watch2", std::move(work));
}

Napi::Function CephWatch::define(Napi::Env env) {
  return DefineClass(env, "CephWatch",
                     {InstanceMethod("next", &CephWatch::next), InstanceMethod("close", &CephWatch::close)});
}

CephWatch::CephWatch(const Napi::CallbackInfo& info)
    : ObjectWrap(info), watched_(made_by_us<std::shared_ptr<WatchedObject>>(info)) {}

Napi::Value CephWatch::next(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), watched_ ? 0 : EBADF, "rados_watch2");
  const auto ask = [this](const std::shared_ptr<Answers>& answers, std::uint64_t number) {
    watched_->notices->expect(answers, number);
    return true;
  };
  return ask_for(info.Env(), "rados_watch2", ask, info.Env().Undefined());
}

void CephWatch::close(const Napi::CallbackInfo& /*info*/) {
  if (watched_) watched_->notices->came(ECANCELED);
  watched_.reset();
}

}  // namespace parentfs::bridge
