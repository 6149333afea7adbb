/** The methods of Engine, in the order of src/native/addon.ts. */
#include "bridge/engine.h"

#include <cstdint>
#include <limits>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/errors.h"
#include "bridge/serving-front.h"
#include "bridge/session.h"
#include "bridge/shared-buffer.h"
#include "bridge/store-file.h"
#include "syscalls/files.h"

namespace parentfs::bridge {

namespace {

/** More threads than are of any use: each takes a stack and a buffer. */
constexpr std::uint32_t session_threads_max = 64;

}  // namespace

Napi::Function Engine::define(Napi::Env env) {
  return DefineClass(
      env, "Engine",
      {InstanceMethod("openFile", &Engine::open_file), InstanceMethod("keepInMemory", &Engine::keep_in_memory),
       InstanceMethod("reserveAfterEnd", &Engine::reserve_after_end), InstanceMethod("readingMs", &Engine::reading_ms), InstanceMethod("startSession", &Engine::start_session),
       InstanceMethod("onFetches", &Engine::on_fetches), InstanceMethod("takeFetches", &Engine::take_fetches), InstanceMethod("releaseFetch", &Engine::release_fetch),
       InstanceMethod("freeFetch", &Engine::free_fetch), InstanceMethod("abandonFetches", &Engine::abandon_fetches),
       InstanceMethod("createServingFront", &Engine::create_serving_front), InstanceMethod("setTick", &Engine::set_tick), InstanceMethod("setSampling", &Engine::set_sampling), InstanceMethod("close", &Engine::close)});
}

Engine::Engine(const Napi::CallbackInfo& info)
    : ObjectWrap(info), state_(made_by_us<std::shared_ptr<StoreOperations>>(info)) {
  const auto& memory = state_->misses()->memory();
  Value().DefineProperty(Napi::PropertyDescriptor::Value(
      "fetchMemory", shared_buffer(info.Env(), memory, memory->all()), napi_enumerable));
}

Napi::Value Engine::open_file(const Napi::CallbackInfo& info) {
  const std::string path = text(info[0], "path");
  const std::uint64_t size_bytes = whole_number(info[1], "sizeBytes");
  const std::uint32_t block_bytes = small_number(info[2], "blockBytes", std::numeric_limits<std::uint32_t>::max());
  const auto file = std::make_shared<std::shared_ptr<image::DataFile>>();
  // The operation holds the state until its promise is settled.
  auto work = [state = state_.get(), file, path, size_bytes, block_bytes](auto) {
    auto opened = image::DataFile::open(path, size_bytes, block_bytes, state->faults(), &state->reads(), state->misses());
    if (opened.ok()) *file = std::move(opened.value());
    return opened.error();
  };
  auto result = [state = state_.get(), file](Napi::Env env) -> Napi::Value {
    OpenedFile opened{.engine = state->shared_from_this(), .file = std::move(*file)};
    return env.GetInstanceData<Classes>()->store_file.New({Napi::External<OpenedFile>::New(env, &opened)});
  };
  return state_->perform(info.Env(), disk::Lane::write, info.Env().Undefined(),
                         {"open", std::move(work), std::move(result)});
}

Napi::Value Engine::keep_in_memory(const Napi::CallbackInfo& info) {
  const auto file = state_->locked_file(text(info[0], "path"), whole_number(info[1], "bytesMax"));
  const auto extent = std::make_shared<disk::LockedFile::Extent>();
  auto work = [file, extent](auto) {
    auto extended = file->extend();
    if (extended.ok()) *extent = extended.value();
    return extended.error();
  };
  auto result = [extent](Napi::Env env) -> Napi::Value {
    const Napi::Object made = Napi::Object::New(env);
    made.Set("lockedBytes", Napi::Number::New(env, static_cast<double>(extent->locked_bytes)));
    made.Set("sizeBytes", Napi::Number::New(env, static_cast<double>(extent->size_bytes)));
    return made;
  };
  return state_->perform(info.Env(), disk::Lane::write, info.Env().Undefined(),
                         {"mlock", std::move(work), std::move(result)});
}

Napi::Value Engine::reserve_after_end(const Napi::CallbackInfo& info) {
  auto work = [path = text(info[0], "path"), bytes = whole_number(info[1], "bytes")](auto) {
    return syscalls::reserve_after_end(path, bytes);
  };
  return state_->perform(info.Env(), disk::Lane::write, info.Env().Undefined(), {"fallocate", std::move(work), {}});
}

Napi::Value Engine::reading_ms(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(state_->reads().longest().count()));
}

Napi::Value Engine::start_session(const Napi::CallbackInfo& info) {
  const Napi::Object options = object(info[1], "options");
  StartedSession started{
      .engine = state_,
      .fd = static_cast<int>(small_number(info[0], "fd", std::numeric_limits<std::int32_t>::max())),
      .threads = small_number(options.Get("threads"), "threads", session_threads_max),
      .addressing = options.Get("byObject").ToBoolean() ? session::Addressing::by_object : session::Addressing::by_handle,
      .on_requests = function(options.Get("onRequests"), "onRequests"),
      .on_reports = function(options.Get("onReports"), "onReports"),
      .on_end = function(options.Get("onEnd"), "onEnd"),
  };
  if (started.threads == 0) throw Napi::RangeError::New(info.Env(), "threads must be at least 1");
  return info.Env().GetInstanceData<Classes>()->session.New(
      {Napi::External<StartedSession>::New(info.Env(), &started)});
}

void Engine::on_fetches(const Napi::CallbackInfo& info) { state_->listen_for_fetches(function(info[0], "listener")); }

Napi::Value Engine::take_fetches(const Napi::CallbackInfo& info) { return state_->take_fetches(info.Env()); }

void Engine::release_fetch(const Napi::CallbackInfo& info) { state_->release_fetch(whole_number(info[0], "id")); }

void Engine::free_fetch(const Napi::CallbackInfo& info) { state_->free_fetch(whole_number(info[0], "id")); }

Napi::Value Engine::abandon_fetches(const Napi::CallbackInfo& info) {
  const std::chrono::milliseconds age(small_number(info[0], "ms", std::numeric_limits<std::uint32_t>::max()));
  return Napi::Number::New(info.Env(), static_cast<double>(state_->misses()->abandon_older(age)));
}

Napi::Value Engine::create_serving_front(const Napi::CallbackInfo& info) { return bridge::create_serving_front(info, state_); }

void Engine::set_tick(const Napi::CallbackInfo& info) {
  const std::uint32_t tick = small_number(info[0], "tick", std::numeric_limits<std::uint32_t>::max());
  state_->clock().tick.store(tick, std::memory_order_relaxed);
}

void Engine::set_sampling(const Napi::CallbackInfo& info) {
  const std::uint32_t below = small_number(info[0], "below", std::numeric_limits<std::uint32_t>::max());
  state_->clock().sampled_below.store(below, std::memory_order_relaxed);
}

Napi::Value Engine::close(const Napi::CallbackInfo& info) { return state_->close(info.Env()); }

}  // namespace parentfs::bridge
