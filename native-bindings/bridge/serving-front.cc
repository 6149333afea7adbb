/** The methods of ServingFront, in the order of src/native/serving-front.ts, and its events. */
#include "bridge/serving-front.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <system_error>
#include <utility>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/errors.h"
#include "bridge/store-file.h"

namespace parentfs::bridge {

namespace {

constexpr std::uint32_t connections_max = std::numeric_limits<std::uint32_t>::max();
/** More would wait for each other: the memory has one bandwidth. */
constexpr std::uint32_t serving_threads_max = 64;

const char* kind_of(serving::FrontEvent::Kind kind) {
  switch (kind) {
    case serving::FrontEvent::Kind::link:
      return "link";
    case serving::FrontEvent::Kind::sent:
      return "sent";
    default:
      return "closed";
  }
}

std::chrono::milliseconds limit_ms(const Napi::Object& limits, const char* name) {
  return std::chrono::milliseconds(small_number(limits.Get(name), name, int_max));
}

std::uint32_t connection_of(const Napi::CallbackInfo& info) {
  return small_number(info[0], "connection", connections_max);
}

}  // namespace

Napi::Value create_serving_front(const Napi::CallbackInfo& info, std::shared_ptr<EngineState> engine) {
  const Napi::Object limits = object(info[0], "limits");
  NewServingFront made{.engine = std::move(engine),
                       .limits = {.threads = small_number(limits.Get("threads"), "threads", serving_threads_max),
                                  .head_bytes_max = small_number(limits.Get("headBytesMax"), "headBytesMax", int_max),
                                  .handshake_max = limit_ms(limits, "handshakeMsMax"),
                                  .head_max = limit_ms(limits, "headMsMax"),
                                  .idle_max = limit_ms(limits, "idleMsMax"),
                                  .take_max = limit_ms(limits, "takeMsMax")},
                       .on_event = function(info[1], "onEvent")};
  if (made.limits.threads == 0) throw Napi::RangeError::New(info.Env(), "threads must be at least 1");
  return info.Env().GetInstanceData<Classes>()->serving_front.New(
      {Napi::External<NewServingFront>::New(info.Env(), &made)});
}

Napi::Function ServingFront::define(Napi::Env env) {
  return DefineClass(
      env, "ServingFront",
      {InstanceMethod("identity", &ServingFront::identity), InstanceMethod("adopt", &ServingFront::adopt),
       InstanceMethod("send", &ServingFront::send), InstanceMethod("resume", &ServingFront::resume),
       InstanceMethod("drop", &ServingFront::drop), InstanceMethod("dropIdle", &ServingFront::drop_idle),
       InstanceMethod("sentBytes", &ServingFront::sent_bytes), InstanceMethod("close", &ServingFront::close)});
}

ServingFront::ServingFront(const Napi::CallbackInfo& info) : ObjectWrap(info), env_(info.Env()) {
  auto& made = made_by_us<NewServingFront>(info);
  on_event_ = Napi::Persistent(made.on_event);
  engine_ = std::move(made.engine);
  wake_ = Wake::New(info.Env(), "parentfs serving", 0, 1, this);
  wake_.Unref(env_);
  try {
    front_ = std::make_unique<serving::Front>(
        made.limits, [this] { wake_.NonBlockingCall(); },
        [engine = engine_.get()](disk::StoreThreads::Job job) {
          return engine->threads().submit(disk::Lane::read, std::move(job));
        });
  } catch (const std::system_error& error) {
    wake_.Release();
    throw_on_error(env_, error.code().value(), "pthread_create");
  }
  ended_ = false;
  // After the thread-safe function was made, so that this hook runs before that function's own.
  ::napi_add_env_cleanup_hook(env_, &ServingFront::tear_down, this);
}

void ServingFront::called(Napi::Env env, Napi::Function /*unused*/, ServingFront* self, void* /*unused*/) {
  if (static_cast<napi_env>(env) != nullptr && !self->ended_) self->deliver(env);
}

void ServingFront::deliver(Napi::Env env) {
  for (serving::FrontEvent& event : front_->take_events()) {
    const Napi::HandleScope scope(env);
    const bool is_link = event.kind == serving::FrontEvent::Kind::link;
    const double number = is_link ? event.link.release() : static_cast<double>(event.bytes);
    Napi::Value certificate = env.Null();
    if (event.certificate.is_trusted && !event.certificate.der.empty()) {
      auto der = Napi::Uint8Array::New(env, event.certificate.der.size());
      std::memcpy(der.Data(), event.certificate.der.data(), event.certificate.der.size());
      certificate = der;
    }
    const Napi::Value kind = Napi::String::New(env, kind_of(event.kind));
    const Napi::Value connection = Napi::Number::New(env, event.connection);
    call_listener(on_event_.Value(), kind, connection, Napi::Value(Napi::Number::New(env, number)), certificate);
    if (ended_) return;
  }
}

Napi::Value ServingFront::identity(const Napi::CallbackInfo& info) {
  auto made = http::TlsServer::create(text(info[0], "certificates"), text(info[1], "key"), text(info[2], "authorities"));
  const bool is_usable = made != nullptr;
  if (is_usable) identity_ = std::move(made);
  return Napi::Boolean::New(info.Env(), is_usable);
}

Napi::Value ServingFront::adopt(const Napi::CallbackInfo& info) {
  const auto fd = static_cast<int>(small_number(info[0], "fd", int_max));
  const bool is_tls = flag(info[1], "isTls");
  if (is_tls && !identity_) throw Napi::Error::New(info.Env(), "TLS needs an identity");
  OwnedFd own(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  throw_on_error(info.Env(), own.get() < 0 ? errno : 0, "fcntl");
  const auto number = ended_ ? Result<std::uint32_t>(Failure{ECANCELED})
                             : front_->adopt(std::move(own), is_tls ? identity_ : nullptr);
  throw_on_error(info.Env(), number.error(), "fcntl");
  return Napi::Number::New(info.Env(), number.value());
}

void ServingFront::send(const Napi::CallbackInfo& info) {
  serving::SendOrder order{.after = whole_number(info[1], "after"),
                           .file = StoreFile::file_of(info[2]),
                           .offset = whole_number(info[3], "offset"),
                           .length = whole_number(info[4], "length")};
  const std::uint32_t connection = connection_of(info);
  if (order.length == 0 || !order.file->geometry().contains(order.offset, order.length)) {
    throw Napi::RangeError::New(info.Env(), "offset and length must lie within the file");
  }
  if (!ended_) front_->send(connection, std::move(order));
}

void ServingFront::resume(const Napi::CallbackInfo& info) {
  if (!ended_) front_->resume(connection_of(info), whole_number(info[1], "after"));
}

void ServingFront::drop(const Napi::CallbackInfo& info) {
  if (!ended_) front_->drop(connection_of(info));
}

void ServingFront::drop_idle(const Napi::CallbackInfo& /*info*/) {
  if (!ended_) front_->drop_idle();
}

Napi::Value ServingFront::sent_bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), ended_ ? 0 : static_cast<double>(front_->sent_bytes()));
}

void ServingFront::close(const Napi::CallbackInfo& /*info*/) { end(); }

void ServingFront::end() {
  if (std::exchange(ended_, true)) return;
  ::napi_remove_env_cleanup_hook(env_, &ServingFront::tear_down, this);
  front_.reset();
  wake_.Release();
  on_event_.Reset();
  engine_.reset();
}

void ServingFront::tear_down(void* self) {
  auto* front = static_cast<ServingFront*>(self);
  front->ended_ = true;
  front->front_.reset();
}

}  // namespace parentfs::bridge
