/**
 * The classes of the addon for Ceph, kept for each environment that loads it; JavaScript cannot construct them.
 */
#pragma once

#include <napi.h>

#include <memory>

#include "bridge/rbd/answers.h"
#include "bridge/rbd/notices.h"
#include "rbd/image.h"
#include "rbd/omap.h"
#include "rbd/requests.h"

namespace parentfs::bridge {

class CephCluster : public Napi::ObjectWrap<CephCluster> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit CephCluster(const Napi::CallbackInfo& info);

 private:
  Napi::Value open_pool(const Napi::CallbackInfo& info);
  Napi::Value running(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<rbd::Cluster> cluster_;
};

class CephPool : public Napi::ObjectWrap<CephPool> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit CephPool(const Napi::CallbackInfo& info);

 private:
  Napi::Value images(const Napi::CallbackInfo& info);
  Napi::Value describe_image(const Napi::CallbackInfo& info);
  Napi::Value open_image(const Napi::CallbackInfo& info);
  Napi::Value snapshot_ids(const Napi::CallbackInfo& info);
  Napi::Value objects(const Napi::CallbackInfo& info);
  Napi::Value stat_object(const Napi::CallbackInfo& info);
  Napi::Value read_object(const Napi::CallbackInfo& info);
  Napi::Value source(const Napi::CallbackInfo& info);
  Napi::Value omap_entries(const Napi::CallbackInfo& info);
  Napi::Value set_omap_entry(const Napi::CallbackInfo& info);
  Napi::Value remove_omap_entry(const Napi::CallbackInfo& info);
  Napi::Value notify_watchers(const Napi::CallbackInfo& info);
  Napi::Value watch(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  /** @throws EBADF once it is closed */
  const std::shared_ptr<rbd::Pool>& open(Napi::Env env);

  std::shared_ptr<rbd::Pool> pool_;
};

class CephWatch : public Napi::ObjectWrap<CephWatch> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit CephWatch(const Napi::CallbackInfo& info);

 private:
  Napi::Value next(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::shared_ptr<WatchedObject> watched_;
};

class CephImage : public Napi::ObjectWrap<CephImage> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit CephImage(const Napi::CallbackInfo& info);

 private:
  Napi::Value layout(const Napi::CallbackInfo& info);
  Napi::Value data(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value source(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::shared_ptr<rbd::Image> image_;
};

/** The state of this addon in an environment. */
struct CephClasses {
  Napi::FunctionReference cluster;
  Napi::FunctionReference pool;
  Napi::FunctionReference image;
  Napi::FunctionReference watch;
  std::shared_ptr<Answers> answers;

  static CephClasses& of(Napi::Env env) { return *env.GetInstanceData<CephClasses>(); }
};

/** An object of one of the classes, around something that was opened. */
template <class Made>
Napi::Value wrap(Napi::Env env, const Napi::FunctionReference& constructor, std::shared_ptr<Made> made) {
  return constructor.New({Napi::External<std::shared_ptr<Made>>::New(env, &made)});
}

/** A promise whose answer `ask` sees to: it gets the number of it. `ask` returns false when too much waits: EBUSY. */
template <class Ask>
Napi::Promise ask_for(Napi::Env env, const char* call, Ask ask, Napi::Value keep, std::uint64_t* asked = nullptr) {
  const auto& answers = CephClasses::of(env).answers;
  const auto expected = answers->expect(env, keep);
  if (asked != nullptr) *asked = expected.number;
  if (!ask(answers, expected.number)) {
    answers->give(expected.number, {.problem = {.error = EBUSY, .call = call}, .result = {}});
  }
  return expected.promise;
}

/** A promise for the result of a call that blocks: `work` runs on a thread of `threads` and says what to resolve to. */
template <class Work>
Napi::Promise call_for(Napi::Env env, rbd::CephThreads& threads, const char* call, Work work) {
  return ask_for(
      env, call,
      [&threads, &work](const std::shared_ptr<Answers>& answers, std::uint64_t number) {
        return threads.calls.submit([answers, number, work = std::move(work)] {
          Answer answer;
          answer.result = work(answer.problem);
          answers->give(number, std::move(answer));
        });
      },
      env.Undefined());
}

/** A CephRead: `start` sends the read. */
template <class Start>
Napi::Value read_into(const Napi::CallbackInfo& info, const Napi::Value& target, std::span<std::byte> bytes,
                      const char* call, Start start) {
  const Napi::Env env = info.Env();
  const auto place = std::make_shared<rbd::Target>(bytes);
  std::uint64_t number = 0;
  const Napi::Promise done = ask_for(
      env, call,
      [&place, &start](const std::shared_ptr<Answers>& answers, std::uint64_t asked) {
        return start(place, answers, asked);
      },
      target, &number);
  const Napi::Object read = Napi::Object::New(env);
  read.Set("done", done);
  read.Set("leave", Napi::Function::New(env, [place, number](const Napi::CallbackInfo& leaving) {
             place->leave();
             CephClasses::of(leaving.Env()).answers->release_bytes(number);
           }));
  return read;
}

}  // namespace parentfs::bridge
