/** The methods of Engine, in the order of src/native/addon.ts. */
#include "bridge/engine.h"

#include <cstdint>
#include <limits>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/errors.h"
#include "bridge/session.h"
#include "bridge/store-file.h"

namespace parentfs::bridge {

namespace {

/** More threads than anybody has use for: each takes a stack and a buffer. */
constexpr std::uint32_t session_threads_max = 64;

}  // namespace

Napi::Function Engine::define(Napi::Env env) {
  return DefineClass(
      env, "Engine",
      {InstanceMethod("openFile", &Engine::open_file), InstanceMethod("startSession", &Engine::start_session),
       InstanceMethod("setTick", &Engine::set_tick), InstanceMethod("close", &Engine::close)});
}

Engine::Engine(const Napi::CallbackInfo& info)
    : ObjectWrap(info), state_(made_by_us<std::shared_ptr<EngineState>>(info)) {}

Napi::Value Engine::open_file(const Napi::CallbackInfo& info) {
  const std::string path = text(info[0], "path");
  const std::uint64_t size_bytes = whole_number(info[1], "sizeBytes");
  const std::uint32_t block_bytes = small_number(info[2], "blockBytes", std::numeric_limits<std::uint32_t>::max());
  auto file = store::DataFile::open(path, size_bytes, block_bytes, state_->faults());
  throw_on_error(info.Env(), file.error(), "open");
  OpenedFile opened{.engine = state_, .file = std::move(file.value())};
  return info.Env().GetInstanceData<Classes>()->store_file.New({Napi::External<OpenedFile>::New(info.Env(), &opened)});
}

Napi::Value Engine::start_session(const Napi::CallbackInfo& info) {
  const Napi::Object options = object(info[1], "options");
  StartedSession started{
      .engine = state_,
      .fd = static_cast<int>(small_number(info[0], "fd", std::numeric_limits<std::int32_t>::max())),
      .threads = small_number(options.Get("threads"), "threads", session_threads_max),
      .on_requests = function(options.Get("onRequests"), "onRequests"),
      .on_end = function(options.Get("onEnd"), "onEnd"),
  };
  if (started.threads == 0) throw Napi::RangeError::New(info.Env(), "threads must be at least 1");
  return info.Env().GetInstanceData<Classes>()->session.New(
      {Napi::External<StartedSession>::New(info.Env(), &started)});
}

void Engine::set_tick(const Napi::CallbackInfo& info) {
  const std::uint32_t tick = small_number(info[0], "tick", std::numeric_limits<std::uint32_t>::max());
  state_->clock().tick.store(tick, std::memory_order_relaxed);
}

Napi::Value Engine::close(const Napi::CallbackInfo& info) { return state_->close(info.Env()); }

}  // namespace parentfs::bridge
