/**
 * Store operations: work on the store threads whose end settles a promise, many of them in one wake-up; and what the
 * objects of an Engine share besides: its threads, the clock, its misses.
 *
 * Everything but `Task::work` happens on the JavaScript thread. An operation holds the state until its promise is
 * settled; the process may exit while none is under way.
 */
#pragma once

#include <napi.h>

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "disk/fault-injection.h"
#include "disk/inflight-reads.h"
#include "disk/locked-file.h"
#include "disk/store-threads.h"
#include "image/miss-engine.h"
#include "mutex.h"
#include "session/session-thread.h"

namespace parentfs::bridge {

/** One operation for the store threads. */
struct Task {
  /** The system call that its error names. */
  const char* syscall;
  /** Runs on a store thread. @returns 0 or an errno, which rejects the promise */
  std::function<int(std::span<std::byte> scratch)> work;
  /** Makes what the promise resolves to; undefined when empty. */
  std::function<Napi::Value(Napi::Env env)> result;
};

class StoreOperations : public std::enable_shared_from_this<StoreOperations> {
 public:
  static std::shared_ptr<StoreOperations> create(Napi::Env env, unsigned store_threads);
  ~StoreOperations();
  StoreOperations(const StoreOperations&) = delete;
  StoreOperations& operator=(const StoreOperations&) = delete;

  /** Run a task. `keep` is what its memory belongs to, or undefined: it is referenced until the promise is settled. */
  Napi::Promise perform(Napi::Env env, disk::Lane lane, Napi::Value keep, Task task);
  /** End the threads once their queues are empty. Rejects with EBUSY while a session runs. */
  Napi::Promise close(Napi::Env env);

  [[nodiscard]] disk::StoreThreads& threads() { return threads_; }
  [[nodiscard]] session::Clock& clock() { return *clock_; }
  /** Null, but in tests that let the disk fail. Outlives every data file: their operations and sessions hold the state.
   */
  [[nodiscard]] disk::FaultInjection* faults() { return faults_.get(); }
  /** Of all data files. Outlives them too. */
  [[nodiscard]] disk::InflightReads& reads() { return reads_; }
  /** The same object for the same path, whatever `bytes_max` is the second time. */
  std::shared_ptr<disk::LockedFile> locked_file(const std::string& path, std::uint64_t bytes_max);
  [[nodiscard]] const std::shared_ptr<image::MissEngine>& misses() { return misses_; }
  /** From now on this is called when fetches are over; see src/native/addon.ts. */
  void listen_for_fetches(const Napi::Function& listener) { on_fetches_ = Napi::Persistent(listener); }
  /** The fetches that are over since the last call, as JavaScript reads them. */
  Napi::Value take_fetches(Napi::Env env);
  /** The blocks of a fetch that was reported as here are in the store, or were dropped. */
  void release_fetch(std::uint64_t id);
  /** Nobody looks at the bytes of a reported fetch any more. */
  void free_fetch(std::uint64_t id) { reported_.erase(id); }
  void session_started() { sessions_++; }
  void session_ended() { sessions_--; }

 private:
  struct Operation;
  static void settle_all(Napi::Env env, Napi::Function unused, StoreOperations* state, void* data);
  using Wake = Napi::TypedThreadSafeFunction<StoreOperations, void, &StoreOperations::settle_all>;

  StoreOperations(Napi::Env env, unsigned store_threads);
  /** From any thread. */
  void complete(Operation* operation) EXCLUDES(mutex_);
  void settle(Napi::Env env, Operation& operation);
  std::vector<Operation*> take() EXCLUDES(mutex_);
  void pending(Napi::Env env, int change);
  void release();
  /** The environment goes away: no JavaScript any more. */
  static void tear_down(void* state);

  napi_env env_;
  Wake wake_;
  bool released_ = false;
  int pending_ = 0;
  int sessions_ = 0;
  bool closing_ = false;
  std::thread closer_;
  Mutex mutex_;
  std::vector<Operation*> done_ GUARDED_BY(mutex_);
  bool armed_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<session::Clock> clock_ = std::make_unique<session::Clock>();
  std::unique_ptr<disk::FaultInjection> faults_ = disk::FaultInjection::from_environment();
  disk::InflightReads reads_;
  /** By path; touched by the thread of JavaScript alone. */
  std::map<std::string, std::shared_ptr<disk::LockedFile>> locked_files_;
  const std::shared_ptr<image::MissEngine> misses_ = std::make_shared<image::MissEngine>([this] { wake_.NonBlockingCall(); });
  // Touched by the thread of JavaScript alone.
  Napi::FunctionReference on_fetches_;
  std::unordered_map<std::uint64_t, image::MissEngine::Report> reported_;
  disk::StoreThreads threads_;
};

}  // namespace parentfs::bridge
