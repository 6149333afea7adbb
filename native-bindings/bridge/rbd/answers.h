/**
 * The way back to JavaScript for calls to the cluster: promises by number, settled on the JavaScript thread in the
 * order of their answers.
 *
 * Threads of the library hold nothing of JavaScript's, so that they may answer late, or never, or when the environment
 * has gone. Does not keep the process alive: a call that hangs must not.
 */
#pragma once

#include <napi.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "mutex.h"
#include "rbd/cluster.h"

namespace parentfs::bridge {

struct Answer {
  rbd::Problem problem;
  /** Makes what the promise resolves to; undefined when empty. Holds nothing of JavaScript's. */
  std::function<Napi::Value(Napi::Env env)> result;
};

class Answers : public std::enable_shared_from_this<Answers> {
 public:
  static std::shared_ptr<Answers> create(Napi::Env env);
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;

  struct Expected {
    std::uint64_t number;
    Napi::Promise promise;
  };
  /** A promise for an answer. `keep` is referenced until it comes or is let go. */
  Expected expect(Napi::Env env, Napi::Value keep);
  /** The memory that the promise keeps is not needed any more. */
  void release_bytes(std::uint64_t number);
  /** From any thread. */
  void give(std::uint64_t number, Answer answer) EXCLUDES(mutex_);

 private:
  struct Pending {
    Napi::Promise::Deferred deferred;
    Napi::ObjectReference keep;
  };
  struct Given {
    std::uint64_t number;
    Answer answer;
  };
  static void settle_all(Napi::Env env, Napi::Function unused, Answers* answers, void* data);
  using Wake = Napi::TypedThreadSafeFunction<Answers, void, &Answers::settle_all>;

  explicit Answers(Napi::Env env);
  /** The environment goes away: no JavaScript any more. */
  static void tear_down(void* held);

  /** Touched by the thread of JavaScript alone. */
  std::unordered_map<std::uint64_t, Pending> pending_;
  std::uint64_t last_number_ = 0;
  Wake wake_;
  Mutex mutex_;
  std::vector<Given> given_ GUARDED_BY(mutex_);
  bool armed_ GUARDED_BY(mutex_) = false;
  bool gone_ GUARDED_BY(mutex_) = false;
};

}  // namespace parentfs::bridge
