/** Promises and their answers. */
#include "bridge/rbd/answers.h"

#include <utility>

#include "bridge/errors.h"

namespace parentfs::bridge {

std::shared_ptr<Answers> Answers::create(Napi::Env env) {
  std::shared_ptr<Answers> made(new Answers(env));
  // After the thread-safe function was made, so that this hook runs before that function's own.
  ::napi_add_env_cleanup_hook(env, &Answers::tear_down, new std::shared_ptr<Answers>(made));
  return made;
}

Answers::Answers(Napi::Env env) : wake_(Wake::New(env, "parentfs ceph", 0, 1, this)) { wake_.Unref(env); }

Answers::Expected Answers::expect(Napi::Env env, Napi::Value keep) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  const std::uint64_t number = ++last_number_;
  pending_.emplace(number, Pending{.deferred = deferred,
                                   .keep = keep.IsObject() ? Napi::Persistent(keep.As<Napi::Object>())
                                                           : Napi::ObjectReference()});
  return {.number = number, .promise = deferred.Promise()};
}

void Answers::release_bytes(std::uint64_t number) {
  const auto found = pending_.find(number);
  if (found != pending_.end()) found->second.keep.Reset();
}

void Answers::give(std::uint64_t number, Answer answer) {
  const Lock lock(mutex_);
  if (gone_) return;
  given_.push_back({.number = number, .answer = std::move(answer)});
  // Under the lock: the function is there for as long as the environment is not known to have gone.
  if (!std::exchange(armed_, true)) wake_.NonBlockingCall();
}

void Answers::settle_all(Napi::Env env, Napi::Function /*unused*/, Answers* answers, void* /*data*/) {
  if (static_cast<napi_env>(env) == nullptr) return;
  std::vector<Given> given;
  {
    const Lock lock(answers->mutex_);
    answers->armed_ = false;
    given = std::exchange(answers->given_, {});
  }
  for (Given& each : given) {
    const Napi::HandleScope scope(env);
    auto pending = answers->pending_.extract(each.number);
    if (pending.empty()) continue;
    const auto& [problem, result] = each.answer;
    if (problem.error != 0) {
      pending.mapped().deferred.Reject(system_error(env, problem.error, problem.call).Value());
    } else {
      pending.mapped().deferred.Resolve(result ? result(env) : env.Undefined());
    }
  }
}

void Answers::tear_down(void* held) {
  const std::unique_ptr<std::shared_ptr<Answers>> answers(static_cast<std::shared_ptr<Answers>*>(held));
  {
    const Lock lock((*answers)->mutex_);
    (*answers)->gone_ = true;
    (*answers)->given_.clear();
  }
  (*answers)->pending_.clear();
}

}  // namespace parentfs::bridge
