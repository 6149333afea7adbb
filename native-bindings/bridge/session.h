/**
 * Session as JavaScript sees it; see src/native/addon.ts.
 *
 * A running session keeps its object and the process alive; one that has ended keeps neither.
 */
#pragma once

#include <napi.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "bridge/store-operations.h"
#include "session/session.h"

namespace parentfs::bridge {

/** Parameters of a Session. */
struct StartedSession {
  std::shared_ptr<StoreOperations> engine;
  int fd;
  unsigned threads;
  session::Addressing addressing;
  Napi::Function on_requests;
  Napi::Function on_reports;
  Napi::Function on_end;
};

class Session : public Napi::ObjectWrap<Session> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Session(const Napi::CallbackInfo& info);
  ~Session() override;

 private:
  /** The message of the session's threads to the JavaScript thread: nothing but "look at the queues", until the end. */
  struct End {
    int error;
  };
  static void called(Napi::Env env, Napi::Function unused, Session* self, End* end);
  using Wake = Napi::TypedThreadSafeFunction<Session, End, &Session::called>;

  void bind(const Napi::CallbackInfo& info);
  void unbind(const Napi::CallbackInfo& info);
  void set_entry(const Napi::CallbackInfo& info);
  Napi::Value reply(const Napi::CallbackInfo& info);
  Napi::Value notify(const Napi::CallbackInfo& info);
  void defer_reads(const Napi::CallbackInfo& info);
  Napi::Value take_reports(const Napi::CallbackInfo& info);
  Napi::Value forward_overdue(const Napi::CallbackInfo& info);
  Napi::Value forward_unanswered(const Napi::CallbackInfo& info);
  Napi::Value open_backing(const Napi::CallbackInfo& info);
  Napi::Value open_backing_of(const Napi::CallbackInfo& info);
  void close_backing(const Napi::CallbackInfo& info);
  void close_backings(const Napi::CallbackInfo& info);
  Napi::Value counters(const Napi::CallbackInfo& info);
  Napi::Value take_samples(const Napi::CallbackInfo& info);
  Napi::Value latencies(const Napi::CallbackInfo& info);
  Napi::Value stop(const Napi::CallbackInfo& info);

  void deliver(Napi::Env env);
  static void hand_over(Napi::Env env, const Napi::FunctionReference& listener, std::span<const std::byte> batch);
  void finish(Napi::Env env, int error);
  static void tear_down(void* self);

  std::shared_ptr<StoreOperations> engine_;
  /** The caller's, which keeps it open as long as the session runs. */
  int fd_ = -1;
  Napi::FunctionReference on_requests_;
  Napi::FunctionReference on_reports_;
  Napi::FunctionReference on_end_;
  std::vector<Napi::Promise::Deferred> stops_;
  bool ended_ = false;
  Wake wake_;
  std::unique_ptr<session::Session> session_;
};

}  // namespace parentfs::bridge
