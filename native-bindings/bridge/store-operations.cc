/** Operations: out to a store thread and back to their promise. */
#include "bridge/store-operations.h"

#include <bit>
#include <cerrno>
#include <utility>

#include "bridge/errors.h"

namespace parentfs::bridge {

struct StoreOperations::Operation {
  std::shared_ptr<StoreOperations> engine;
  Napi::Promise::Deferred deferred;
  Napi::ObjectReference keep;
  Task task;
  int error = 0;
};

std::shared_ptr<StoreOperations> StoreOperations::create(Napi::Env env, unsigned store_threads) {
  return std::shared_ptr<StoreOperations>(new StoreOperations(env, store_threads));
}

StoreOperations::StoreOperations(Napi::Env env, unsigned store_threads)
    : env_(env), wake_(Wake::New(env, "parentfs store", 0, 1, this)), threads_(store_threads) {
  wake_.Unref(env);
  // After the thread-safe function was made, so that this hook runs before that function's own.
  ::napi_add_env_cleanup_hook(env, &StoreOperations::tear_down, this);
}

StoreOperations::~StoreOperations() {
  misses_->close();
  threads_.close();  // Before the function goes that they call.
  release();
}

Napi::Promise StoreOperations::perform(Napi::Env env, disk::Lane lane, Napi::Value keep, Task task) {
  auto* operation =
      new Operation{.engine = shared_from_this(),
                    .deferred = Napi::Promise::Deferred::New(env),
                    .keep = keep.IsObject() ? Napi::Persistent(keep.As<Napi::Object>()) : Napi::ObjectReference(),
                    .task = std::move(task)};
  const Napi::Promise promise = operation->deferred.Promise();
  pending(env, 1);
  const bool taken = threads_.submit(lane, [this, operation](auto scratch) {
    operation->error = operation->task.work(scratch);
    complete(operation);
  });
  if (!taken) {
    operation->error = ECANCELED;
    settle(env, *operation);
    delete operation;
  }
  return promise;
}

std::shared_ptr<disk::LockedFile> StoreOperations::locked_file(const std::string& path, std::uint64_t bytes_max) {
  auto& file = locked_files_[path];
  if (!file) file = std::make_shared<disk::LockedFile>(path, bytes_max);
  return file;
}

Napi::Promise StoreOperations::close(Napi::Env env) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  if (sessions_ > 0) {
    deferred.Reject(system_error(env, EBUSY, "close").Value());
    return deferred.Promise();
  }
  if (closing_) {
    deferred.Resolve(env.Undefined());
    return deferred.Promise();
  }
  closing_ = true;
  auto* operation = new Operation{.engine = shared_from_this(), .deferred = deferred, .keep = {}, .task = {}};
  operation->task.result = [this](Napi::Env result_env) {
    closer_.join();
    locked_files_.clear();
    // The listener refers to the engine: neither would ever be collected.
    misses_->close();
    on_fetches_.Reset();
    reported_.clear();
    return result_env.Undefined();
  };
  pending(env, 1);
  closer_ = std::thread([this, operation] {
    threads_.close();
    complete(operation);
  });
  return deferred.Promise();
}

void StoreOperations::complete(Operation* operation) {
  {
    const Lock lock(mutex_);
    done_.push_back(operation);
    if (std::exchange(armed_, true)) return;
  }
  wake_.NonBlockingCall();
}

std::vector<StoreOperations::Operation*> StoreOperations::take() {
  const Lock lock(mutex_);
  armed_ = false;
  return std::exchange(done_, {});
}

void StoreOperations::settle_all(Napi::Env env, Napi::Function /*unused*/, StoreOperations* state, void* /*data*/) {
  if (static_cast<napi_env>(env) == nullptr) return;
  // The last operation may hold the last other reference to the state.
  const auto held = state->weak_from_this().lock();
  if (!held) return;
  for (Operation* operation : state->take()) {
    const std::unique_ptr<Operation> owned(operation);
    const Napi::HandleScope scope(env);
    state->settle(env, *operation);
  }
  if (state->released_ || state->on_fetches_.IsEmpty() || !state->misses_->has_reports()) return;
  const Napi::HandleScope scope(env);
  call_listener(state->on_fetches_.Value());
}

Napi::Value StoreOperations::take_fetches(Napi::Env env) {
  const auto reports = misses_->take_reports();
  // Numbers: id, file, object, its first block, count of blocks, offset in the memory of fetches, bytes, microseconds, right.
  constexpr std::size_t fields = 9;
  auto batch = Napi::Float64Array::New(env, reports.size() * fields);
  double* at = batch.Data();
  for (const auto& report : reports) {
    const auto& fetch = *report.fetch;
    const auto first = static_cast<double>(std::countr_zero(fetch.blocks));
    const auto offset = static_cast<double>(fetch.bytes.data() - misses_->memory()->all().data());
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(report.took).count();
    for (const double value :
         {static_cast<double>(fetch.id), static_cast<double>(report.table->number()), static_cast<double>(fetch.object), first,
          static_cast<double>(std::popcount(fetch.blocks)), offset, static_cast<double>(fetch.bytes.size()),
          static_cast<double>(microseconds), report.right ? 1.0 : 0.0}) {
      *at++ = value;
    }
    if (report.right) reported_.emplace(fetch.id, report);
  }
  return batch;
}

void StoreOperations::release_fetch(std::uint64_t id) {
  const auto known = reported_.find(id);
  if (known != reported_.end()) known->second.table->release(known->second.fetch);
}

void StoreOperations::settle(Napi::Env env, Operation& operation) {
  if (operation.error != 0) {
    operation.deferred.Reject(system_error(env, operation.error, operation.task.syscall).Value());
  } else {
    operation.deferred.Resolve(operation.task.result ? operation.task.result(env) : env.Undefined());
  }
  pending(env, -1);
}

void StoreOperations::pending(Napi::Env env, int change) {
  const int before = std::exchange(pending_, pending_ + change);
  if (before == 0) wake_.Ref(env);
  if (pending_ == 0) wake_.Unref(env);
}

void StoreOperations::release() {
  if (std::exchange(released_, true)) return;
  misses_->close();
  on_fetches_.Reset();
  ::napi_remove_env_cleanup_hook(env_, &StoreOperations::tear_down, this);
  wake_.Release();
}

void StoreOperations::tear_down(void* self) {
  auto* state = static_cast<StoreOperations*>(self);
  // Held here: the operations that are dropped below may hold the last reference.
  const auto held = state->shared_from_this();
  state->released_ = true;
  state->misses_->close();
  state->on_fetches_.Reset();
  state->threads_.close();
  if (state->closer_.joinable()) state->closer_.join();
  for (Operation* operation : state->take()) delete operation;
}

}  // namespace parentfs::bridge
