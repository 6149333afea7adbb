/** The methods of ServingFront, in the order of src/native/serving-front.ts, and its events. */
#include "bridge/serving-front.h"

#include <fcntl.h>

#include <algorithm>
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

Napi::Value create_serving_front(const Napi::CallbackInfo& info, std::shared_ptr<StoreOperations> engine) {
  const Napi::Object limits = object(info[0], "limits");
  NewServingFront made{.engine = std::move(engine),
                       .limits = {.threads = small_number(limits.Get("threads"), "threads", serving_threads_max),
                                  .head_bytes_max = small_number(limits.Get("headBytesMax"), "headBytesMax", int_max),
                                  .handshake_max = limit_ms(limits, "handshakeMsMax"),
                                  .head_max = limit_ms(limits, "headMsMax"),
                                  .idle_max = limit_ms(limits, "idleMsMax"),
                                  .take_max = limit_ms(limits, "takeMsMax"),
                                  .objects_max = small_number(limits.Get("objectsMax"), "objectsMax", int_max),
                                  .members_max = small_number(limits.Get("membersMax"), "membersMax", int_max)},
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
       InstanceMethod("sentBytes", &ServingFront::sent_bytes), InstanceMethod("permit", &ServingFront::permit),
       InstanceMethod("offer", &ServingFront::offer), InstanceMethod("revoke", &ServingFront::revoke),
       InstanceMethod("setRate", &ServingFront::set_rate), InstanceMethod("book", &ServingFront::book),
       InstanceMethod("behindMs", &ServingFront::behind_ms), InstanceMethod("permitted", &ServingFront::permitted),
       InstanceMethod("permittedTo", &ServingFront::permitted_to), InstanceMethod("close", &ServingFront::close)});
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
  permits_ = front_->permits();
  permits_->rate.set(1);
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

void ServingFront::permit(const Napi::CallbackInfo& info) {
  const Napi::Object said = object(info[1], "permit");
  const Napi::Value member = said.Get("member");
  const auto life = std::chrono::milliseconds(small_number(said.Get("ms"), "ms", int_max));
  serving::Permit made{.revocations = whole_number(said.Get("revocations"), "revocations"),
                       .until = std::chrono::steady_clock::now() + life,
                       .file = StoreFile::file_of(said.Get("file")),
                       .head = text(said.Get("head"), "head"),
                       .is_summed = flag(said.Get("isSummed"), "isSummed"),
                       .range_bytes_max = whole_number(said.Get("rangeBytesMax"), "rangeBytesMax"),
                       .sent = member.IsNull() ? nullptr : permits_->members.count_of(text(member, "member"))};
  const std::uint32_t connection = connection_of(info);
  if (!ended_) front_->permit(connection, std::move(made));
}

void ServingFront::offer(const Napi::CallbackInfo& info) {
  const auto file = StoreFile::file_of(info[0]);
  const std::uint64_t number = whole_number(info[1], "object");
  const auto sums = bytes(info[3], "sums");
  const auto life = std::chrono::milliseconds(small_number(info[4], "ms", int_max));
  serving::Offer made{.known = word(info[2], "known"), .until = std::chrono::steady_clock::now() + life};
  if (sums.size() != sizeof made.sums) throw Napi::RangeError::New(info.Env(), "sums must be those of an object");
  if (number >= file->geometry().objects()) throw Napi::RangeError::New(info.Env(), "object must lie within the file");
  std::memcpy(made.sums.data(), sums.data(), sums.size());
  // TypeScript, which moves it, is on this thread: it is the generation of what was said.
  made.generation = file->table()->generation(number).load();
  permits_->offers.offer(file, number, made);
}

Napi::Value ServingFront::revoke(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(permits_->revocations.fetch_add(1) + 1));
}

void ServingFront::set_rate(const Napi::CallbackInfo& info) {
  permits_->rate.set(static_cast<double>(std::max<std::uint64_t>(1, whole_number(info[0], "bytesPerSecond"))));
}

Napi::Value ServingFront::book(const Napi::CallbackInfo& info) {
  const auto wait = permits_->rate.book(whole_number(info[0], "bytes"), std::chrono::steady_clock::now());
  return Napi::Number::New(info.Env(), std::chrono::duration<double, std::milli>(wait).count());
}

Napi::Value ServingFront::behind_ms(const Napi::CallbackInfo& info) {
  const auto behind = permits_->rate.behind(std::chrono::steady_clock::now());
  return Napi::Number::New(info.Env(), std::chrono::duration<double, std::milli>(behind).count());
}

Napi::Value ServingFront::permitted(const Napi::CallbackInfo& info) {
  Napi::Object made = Napi::Object::New(info.Env());
  made.Set("answers", static_cast<double>(permits_->answers.load(std::memory_order_relaxed)));
  made.Set("bytes", static_cast<double>(permits_->bytes.load(std::memory_order_relaxed)));
  return made;
}

Napi::Value ServingFront::permitted_to(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(permits_->members.of(text(info[0], "member"))));
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
