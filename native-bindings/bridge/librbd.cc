/** The methods of LibrbdKeeper and LibrbdResponder, in the order of src/native/librbd.ts. */
#include "bridge/librbd.h"

#include <cerrno>
#include <limits>
#include <system_error>
#include <utility>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/errors.h"
#include "bridge/store-file.h"
#include "wire/object-node.h"

namespace parentfs::bridge {

namespace {

librbd::ParentName name_of(const Napi::Value& value) {
  const Napi::Object given = object(value, "name");
  return {.pool_id = word(given.Get("poolId"), "poolId"),
          .snapshot_id = word(given.Get("snapshotId"), "snapshotId"),
          .name_space = text(given.Get("namespace"), "namespace"),
          .prefix = text(given.Get("prefix"), "prefix")};
}

librbd::LeftToCluster left_of(const Napi::Value& value) {
  return static_cast<librbd::LeftToCluster>(
      small_number(value, "left", static_cast<std::uint32_t>(librbd::LeftToCluster::everything)));
}

double rate(const Napi::Object& given, const char* name) {
  return static_cast<double>(whole_number(given.Get(name), name));
}

Napi::Value listen_at(const Napi::CallbackInfo& info) {
  const int group = info[2].IsNull() ? -1 : static_cast<int>(small_number(info[2], "group", int_max));
  auto fd = librbd::listen_at(text(info[0], "path"), small_number(info[1], "mode", 0777), group);
  throw_on_error(info.Env(), fd.error(), "bind");
  return Napi::Number::New(info.Env(), fd.value().release());
}

OwnedFd fd_of(const Napi::Value& value, const char* name) {
  return OwnedFd(static_cast<int>(small_number(value, name, int_max)));
}

librbd::HeldConnections held_of(const Napi::Value& value) {
  if (value.IsNull()) return {};
  const Napi::Object given = object(value, "manager");
  return {text(given.Get("socket"), "socket"), small_number(given.Get("connectionsMax"), "connectionsMax", int_max)};
}

std::optional<librbd::KeptConnections> kept_of(const Napi::Value& value) {
  if (value.IsNull()) return std::nullopt;
  const Napi::Object given = object(value, "kept");
  librbd::KeptConnections kept{.journal = fd_of(given.Get("journal"), "journal"), .connections = {}};
  const Napi::Object list = object(given.Get("connections"), "connections");
  const std::uint32_t count = small_number(list.Get("length"), "length", int_max);
  for (std::uint32_t k = 0; k < count; k++) {
    const Napi::Object each = object(list.Get(k), "connection");
    kept.connections.push_back({.fd = fd_of(each.Get("fd"), "fd"),
                                .number = whole_number(each.Get("number"), "number"),
                                .slot = small_number(each.Get("slot"), "slot", int_max)});
  }
  return kept;
}

Napi::Value create_keeper(const Napi::CallbackInfo& info) {
  NewLibrbdKeeper made{.listener = fd_of(info[0], "listener"), .held = held_of(info[1]), .kept = kept_of(info[2])};
  return info.Env().GetInstanceData<Classes>()->librbd_keeper.New({Napi::External<NewLibrbdKeeper>::New(info.Env(), &made)});
}

Napi::Value create_responder(const Napi::CallbackInfo& info) {
  NewLibrbdResponder made{.channel = OwnedFd(static_cast<int>(small_number(info[0], "channel", int_max))),
                          .directory = text(info[1], "directory"),
                          .on_unknown = function(info[2], "onUnknown")};
  return info.Env().GetInstanceData<Classes>()->librbd_responder.New(
      {Napi::External<NewLibrbdResponder>::New(info.Env(), &made)});
}

}  // namespace

void add_librbd(Napi::Env env, Napi::Object exports) {
  exports.Set("listenAt", Napi::Function::New(env, listen_at, "listenAt"));
  exports.Set("createLibrbdKeeper", Napi::Function::New(env, create_keeper, "createLibrbdKeeper"));
  exports.Set("createLibrbdResponder", Napi::Function::New(env, create_responder, "createLibrbdResponder"));
}

Napi::Function LibrbdKeeper::define(Napi::Env env) {
  return DefineClass(env, "LibrbdKeeper",
                     {InstanceMethod("attach", &LibrbdKeeper::attach),
                      InstanceMethod("stopListening", &LibrbdKeeper::stop_listening),
                      InstanceMethod("journal", &LibrbdKeeper::journal),
                      InstanceMethod("connections", &LibrbdKeeper::connections),
                      InstanceMethod("refused", &LibrbdKeeper::refused), InstanceMethod("close", &LibrbdKeeper::close)});
}

LibrbdKeeper::LibrbdKeeper(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  try {
    auto& made = made_by_us<NewLibrbdKeeper>(info);
    keeper_ = std::make_unique<librbd::Keeper>(std::move(made.listener), std::move(made.held), std::move(made.kept));
  } catch (const std::system_error& error) {
    throw_on_error(info.Env(), error.code().value(), "pthread_create");
  }
}

Napi::Value LibrbdKeeper::attach(const Napi::CallbackInfo& info) {
  auto fd = keeper_ ? keeper_->attach() : Result<OwnedFd>(Failure{EBADF});
  throw_on_error(info.Env(), fd.error(), "socketpair");
  return Napi::Number::New(info.Env(), fd.value().release());
}

void LibrbdKeeper::stop_listening(const Napi::CallbackInfo& /*info*/) {
  if (keeper_) keeper_->stop_listening();
}

Napi::Value LibrbdKeeper::journal(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), keeper_ ? keeper_->journal() : -1);
}

Napi::Value LibrbdKeeper::connections(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), keeper_ ? keeper_->connections() : 0);
}

Napi::Value LibrbdKeeper::refused(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), keeper_ ? static_cast<double>(keeper_->refused()) : 0);
}

void LibrbdKeeper::close(const Napi::CallbackInfo& /*info*/) { keeper_.reset(); }

Napi::Function LibrbdResponder::define(Napi::Env env) {
  return DefineClass(
      env, "LibrbdResponder",
      {InstanceMethod("setParent", &LibrbdResponder::set_parent),
       InstanceMethod("changeParent", &LibrbdResponder::change_parent), InstanceMethod("look", &LibrbdResponder::look),
       InstanceMethod("refuseParent", &LibrbdResponder::refuse_parent),
       InstanceMethod("removeParent", &LibrbdResponder::remove_parent),
       InstanceMethod("takeAsked", &LibrbdResponder::take_asked),
       InstanceMethod("takeUnknown", &LibrbdResponder::take_unknown),
       InstanceMethod("setThrottles", &LibrbdResponder::set_throttles),
       InstanceMethod("setColdPolicy", &LibrbdResponder::set_cold_policy),
       InstanceMethod("counters", &LibrbdResponder::counters), InstanceMethod("retreat", &LibrbdResponder::retreat),
       InstanceMethod("fallSilent", &LibrbdResponder::fall_silent), InstanceMethod("hangUp", &LibrbdResponder::hang_up),
       InstanceMethod("close", &LibrbdResponder::close)});
}

LibrbdResponder::LibrbdResponder(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  auto& made = made_by_us<NewLibrbdResponder>(info);
  on_unknown_ = Napi::Persistent(made.on_unknown);
  wake_ = Wake::New(info.Env(), "parentfs librbd", 0, 1, this);
  parents_ = std::make_shared<librbd::ParentTable>([this] { wake_.NonBlockingCall(); });
  ::napi_add_env_cleanup_hook(info.Env(), &LibrbdResponder::tear_down, this);
  Ref();
  try {
    responder_ = std::make_unique<librbd::Responder>(std::move(made.channel), std::move(made.directory), parents_);
  } catch (const std::system_error& error) {
    end();
    throw_on_error(info.Env(), error.code().value(), "pthread_create");
  }
}

LibrbdResponder::~LibrbdResponder() { responder_.reset(); }

void LibrbdResponder::called(Napi::Env env, Napi::Function /*unused*/, LibrbdResponder* self, void* /*data*/) {
  if (static_cast<napi_env>(env) == nullptr || self->ended_) return;
  call_listener(self->on_unknown_.Value());
}

void LibrbdResponder::set_parent(const Napi::CallbackInfo& info) {
  const librbd::ParentName name = name_of(info[0]);
  const Napi::Object given = object(info[1], "parent");
  const auto existing = bytes_or_null(given.Get("existing"), "existing");
  const Napi::Value file = given.Get("file");
  librbd::KnownParent parent{
      .image = small_number(given.Get("image"), "image", std::numeric_limits<std::uint32_t>::max()),
      .order = small_number(given.Get("order"), "order", wire::ObjectNode::order_max),
      .size_bytes = whole_number(given.Get("sizeBytes"), "sizeBytes"),
      .file = file.IsNull() ? nullptr : StoreFile::file_of(file),
      .existing = {existing.begin(), existing.end()},
      .left = left_of(given.Get("left"))};
  if (parent.order < wire::ObjectNode::order_min || parent.image == 0) {
    throw Napi::RangeError::New(info.Env(), "order and image must be those of a node");
  }
  parents_->set(name, std::move(parent));
}

void LibrbdResponder::change_parent(const Napi::CallbackInfo& info) {
  const Napi::Value file = info[1];
  parents_->change(small_number(info[0], "image", std::numeric_limits<std::uint32_t>::max()),
                   file.IsNull() ? nullptr : StoreFile::file_of(file), left_of(info[2]));
}

Napi::Value LibrbdResponder::look(const Napi::CallbackInfo& info) {
  const librbd::AnswerKind kind = parents_->look(name_of(info[0]), whole_number(info[1], "number"));
  return Napi::Number::New(info.Env(), static_cast<double>(kind));
}

void LibrbdResponder::refuse_parent(const Napi::CallbackInfo& info) {
  parents_->refuse(name_of(info[0]), static_cast<std::uint8_t>(small_number(info[1], "reason", librbd::answer_kinds)));
}

void LibrbdResponder::remove_parent(const Napi::CallbackInfo& info) { parents_->remove(name_of(info[0])); }

Napi::Value LibrbdResponder::take_asked(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), parents_->take_asked(name_of(info[0])));
}

Napi::Value LibrbdResponder::take_unknown(const Napi::CallbackInfo& info) {
  const std::vector<librbd::ParentName> names = parents_->take_unknown();
  const Napi::Array made = Napi::Array::New(info.Env(), names.size());
  for (std::uint32_t k = 0; k < names.size(); k++) {
    const Napi::Object name = Napi::Object::New(info.Env());
    name.Set("poolId", Napi::BigInt::New(info.Env(), names[k].pool_id));
    name.Set("snapshotId", Napi::BigInt::New(info.Env(), names[k].snapshot_id));
    name.Set("namespace", Napi::String::New(info.Env(), names[k].name_space));
    name.Set("prefix", Napi::String::New(info.Env(), names[k].prefix));
    made.Set(k, name);
  }
  return made;
}

void LibrbdResponder::set_throttles(const Napi::CallbackInfo& info) {
  const Napi::Object given = object(info[0], "throttles");
  parents_->set_throttles({.reads_per_second = rate(given, "readsPerSecond"),
                           .reads_burst = rate(given, "readsBurst"),
                           .bytes_per_second = rate(given, "bytesPerSecond"),
                           .bytes_burst = rate(given, "bytesBurst")},
                          librbd::ParentTable::Clock::now());
}

void LibrbdResponder::set_cold_policy(const Napi::CallbackInfo& info) {
  parents_->set_cold_policy({.asks = small_number(info[0], "asks", int_max),
                             .time = std::chrono::milliseconds(small_number(info[1], "ms", int_max))});
}

Napi::Value LibrbdResponder::counters(const Napi::CallbackInfo& info) {
  const auto counted = responder_ ? responder_->counters() : librbd::Responder::Counters{};
  const Napi::Object made = Napi::Object::New(info.Env());
  const auto number = [&](std::uint64_t value) { return Napi::Number::New(info.Env(), static_cast<double>(value)); };
  made.Set("connections", number(counted.connections));
  made.Set("registered", number(counted.registered));
  made.Set("broken", number(counted.broken));
  const Napi::Array answers = Napi::Array::New(info.Env(), librbd::answer_kinds);
  for (std::uint32_t k = 0; k < librbd::answer_kinds; k++) answers.Set(k, number(parents_->counted(k)));
  made.Set("answers", answers);
  return made;
}

void LibrbdResponder::retreat(const Napi::CallbackInfo& /*info*/) {
  if (responder_) responder_->retreat();
}

void LibrbdResponder::fall_silent(const Napi::CallbackInfo& /*info*/) {
  if (responder_) responder_->fall_silent();
}

void LibrbdResponder::hang_up(const Napi::CallbackInfo& /*info*/) {
  if (responder_) responder_->hang_up();
}

void LibrbdResponder::close(const Napi::CallbackInfo& info) {
  if (ended_) return;
  ::napi_remove_env_cleanup_hook(info.Env(), &LibrbdResponder::tear_down, this);
  responder_.reset();
  end();
}

void LibrbdResponder::end() {
  ended_ = true;
  wake_.Release();
  Unref();
}

void LibrbdResponder::tear_down(void* self) { static_cast<LibrbdResponder*>(self)->responder_.reset(); }

}  // namespace parentfs::bridge
