/**
 * The keeper and the responder as JavaScript sees them; see src/native/librbd.ts.
 */
#pragma once

#include <napi.h>

#include <memory>
#include <optional>
#include <string>

#include "librbd/connection-keeper.h"
#include "librbd/responder.h"
#include "owned-fd.h"

namespace parentfs::bridge {

/** Parameters of a LibrbdKeeper. */
struct NewLibrbdKeeper {
  OwnedFd listener;
  librbd::HeldConnections held;
  std::optional<librbd::KeptConnections> kept;
};

class LibrbdKeeper : public Napi::ObjectWrap<LibrbdKeeper> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit LibrbdKeeper(const Napi::CallbackInfo& info);

 private:
  Napi::Value attach(const Napi::CallbackInfo& info);
  void stop_listening(const Napi::CallbackInfo& info);
  Napi::Value journal(const Napi::CallbackInfo& info);
  Napi::Value connections(const Napi::CallbackInfo& info);
  Napi::Value refused(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::unique_ptr<librbd::Keeper> keeper_;
};

/** Parameters of a LibrbdResponder. */
struct NewLibrbdResponder {
  OwnedFd channel;
  std::string directory;
  Napi::Function on_unknown;
};

class LibrbdResponder : public Napi::ObjectWrap<LibrbdResponder> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit LibrbdResponder(const Napi::CallbackInfo& info);
  ~LibrbdResponder() override;

 private:
  static void called(Napi::Env env, Napi::Function unused, LibrbdResponder* self, void* data);
  using Wake = Napi::TypedThreadSafeFunction<LibrbdResponder, void, &LibrbdResponder::called>;

  void set_parent(const Napi::CallbackInfo& info);
  void change_parent(const Napi::CallbackInfo& info);
  Napi::Value look(const Napi::CallbackInfo& info);
  void refuse_parent(const Napi::CallbackInfo& info);
  void remove_parent(const Napi::CallbackInfo& info);
  Napi::Value take_asked(const Napi::CallbackInfo& info);
  Napi::Value take_unknown(const Napi::CallbackInfo& info);
  void set_throttles(const Napi::CallbackInfo& info);
  void set_cold_policy(const Napi::CallbackInfo& info);
  Napi::Value counters(const Napi::CallbackInfo& info);
  void retreat(const Napi::CallbackInfo& info);
  void fall_silent(const Napi::CallbackInfo& info);
  void hang_up(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  void end();
  static void tear_down(void* self);

  Napi::FunctionReference on_unknown_;
  Wake wake_;
  std::shared_ptr<librbd::ParentTable> parents_;
  std::unique_ptr<librbd::Responder> responder_;
  bool ended_ = false;
};

/** See Librbd in src/native/librbd.ts. */
void add_librbd(Napi::Env env, Napi::Object exports);

}  // namespace parentfs::bridge
