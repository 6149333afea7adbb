/** The methods of Session, in the order of src/native/addon.ts, and its events. */
#include "bridge/session.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/errors.h"
#include "bridge/store-file.h"
#include "syscalls/backing.h"

namespace parentfs::bridge {

namespace {

/** An errno or a notification's code fits in here, whatever the kernel's list is. */
constexpr std::uint32_t code_max = 4095;

Napi::Uint8Array copy_of(Napi::Env env, std::span<const std::byte> bytes) {
  auto array = Napi::Uint8Array::New(env, bytes.size());
  if (!bytes.empty()) std::memcpy(array.Data(), bytes.data(), bytes.size());
  return array;
}

/** A LatencyCounts. */
Napi::Object counts_of(Napi::Env env, const session::Latencies::Counts& counted) {
  const Napi::Array counts = Napi::Array::New(env, counted.counts.size());
  for (std::uint32_t k = 0; k < counted.counts.size(); k++) {
    counts.Set(k, Napi::Number::New(env, static_cast<double>(counted.counts.at(k))));
  }
  const Napi::Object made = Napi::Object::New(env);
  made.Set("counts", counts);
  made.Set("sumSeconds", Napi::Number::New(env, static_cast<double>(counted.nanoseconds) / 1e9));
  return made;
}

}  // namespace

Napi::Function Session::define(Napi::Env env) {
  return DefineClass(
      env, "Session",
      {InstanceMethod("bind", &Session::bind), InstanceMethod("unbind", &Session::unbind),
       InstanceMethod("setEntry", &Session::set_entry),
       InstanceMethod("reply", &Session::reply), InstanceMethod("notify", &Session::notify),
       InstanceMethod("takeReports", &Session::take_reports), InstanceMethod("deferReads", &Session::defer_reads), InstanceMethod("forwardOverdue", &Session::forward_overdue),
       InstanceMethod("forwardUnanswered", &Session::forward_unanswered),
       InstanceMethod("openBacking", &Session::open_backing), InstanceMethod("openBackingOf", &Session::open_backing_of),
       InstanceMethod("closeBacking", &Session::close_backing),
       InstanceMethod("closeBackings", &Session::close_backings), InstanceMethod("counters", &Session::counters), InstanceMethod("takeSamples", &Session::take_samples), InstanceMethod("latencies", &Session::latencies),
       InstanceMethod("stop", &Session::stop)});
}

Session::Session(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const auto& started = made_by_us<StartedSession>(info);
  engine_ = started.engine;
  fd_ = started.fd;
  on_requests_ = Napi::Persistent(started.on_requests);
  on_reports_ = Napi::Persistent(started.on_reports);
  on_end_ = Napi::Persistent(started.on_end);
  // Unbounded: a bounded queue with several blocking producers loses wake-ups on Node 20. It never holds more than one
  // call for requests, one for reports and one for the end: the session's own queues call once until they are taken.
  wake_ = Wake::New(info.Env(), "parentfs session", 0, 1, this);
  ::napi_add_env_cleanup_hook(info.Env(), &Session::tear_down, this);
  Ref();
  engine_->session_started();
  session_ = std::make_unique<session::Session>(
      started.fd, started.threads, engine_->threads(), engine_->clock(),
      session::Session::Events{.on_waiting = [this] { wake_.NonBlockingCall(); },
                               .on_end = [this](int error) { wake_.NonBlockingCall(new End{error}); }},
      started.addressing);
}

Session::~Session() {
  // Only an ended session, or one whose environment was torn down, comes here: a running one holds itself.
  session_.reset();
}

void Session::called(Napi::Env env, Napi::Function /*unused*/, Session* self, End* end) {
  const std::unique_ptr<End> owned(end);
  if (static_cast<napi_env>(env) == nullptr) return;
  self->deliver(env);
  if (end != nullptr) self->finish(env, end->error);
}

void Session::deliver(Napi::Env env) {
  hand_over(env, on_requests_, session_->take_requests());
  if (session_->reports_urgent()) {
    hand_over(env, on_reports_, session_->take_reports());
  } else if (session_->has_reports()) {
    call_listener(on_reports_.Value(), static_cast<napi_value>(env.Null()));
  }
}

void Session::hand_over(Napi::Env env, const Napi::FunctionReference& listener, std::span<const std::byte> batch) {
  if (!batch.empty()) call_listener(listener.Value(), static_cast<napi_value>(copy_of(env, batch)));
}

Napi::Value Session::take_reports(const Napi::CallbackInfo& info) { return copy_of(info.Env(), session_->take_reports()); }

void Session::finish(Napi::Env env, int error) {
  session_->join();
  ended_ = true;
  engine_->session_ended();
  ::napi_remove_env_cleanup_hook(env, &Session::tear_down, this);
  wake_.Release();
  call_listener(on_end_.Value(), static_cast<napi_value>(Napi::Number::New(env, error)));
  for (const auto& waiting : std::exchange(stops_, {})) waiting.Resolve(env.Undefined());
  Unref();
}

void Session::tear_down(void* self) {
  auto* session = static_cast<Session*>(self);
  session->session_->stop();
  session->session_->join();
  session->engine_->session_ended();
}

void Session::bind(const Napi::CallbackInfo& info) {
  const std::uint64_t fh = word(info[0], "fh");
  const auto file = StoreFile::file_of(info[1]);
  if (!ended_) session_->bind(fh, file);  // An ended one would neither read through it nor release it.
}

void Session::unbind(const Napi::CallbackInfo& info) { session_->unbind(word(info[0], "fh")); }

void Session::set_entry(const Napi::CallbackInfo& info) {
  const std::uint64_t image = word(info[0], "image");
  const auto bytes = bytes_or_null(info[2], "entry");
  if (bytes.empty()) return session_->remove_entry(image);
  session::ObjectEntries::Entry entry{};
  if (bytes.size() != entry.size()) throw Napi::RangeError::New(info.Env(), "entry must be a struct fuse_entry_out");
  std::ranges::copy(bytes, entry.begin());
  session_->set_entry(image, whole_number(info[1], "sizeBytes"), entry);
}

Napi::Value Session::reply(const Napi::CallbackInfo& info) {
  const std::uint64_t unique = word(info[0], "unique");
  const auto error = static_cast<int>(small_number(info[1], "errno", code_max));
  return Napi::Number::New(info.Env(), session_->reply(unique, error, bytes_or_null(info[2], "bytes")));
}

Napi::Value Session::notify(const Napi::CallbackInfo& info) {
  const auto code = static_cast<int>(small_number(info[0], "code", code_max));
  return Napi::Number::New(info.Env(), session_->notify(code, bytes_or_null(info[1], "bytes")));
}

void Session::defer_reads(const Napi::CallbackInfo& info) {
  if (!info[0].IsBoolean()) throw Napi::TypeError::New(info.Env(), "allowed must be a boolean");
  session_->defer_reads(info[0].As<Napi::Boolean>());
}

Napi::Value Session::forward_overdue(const Napi::CallbackInfo& info) {
  const std::chrono::milliseconds age(small_number(info[0], "ms", std::numeric_limits<std::uint32_t>::max()));
  return Napi::Number::New(info.Env(), static_cast<double>(session_->forward_overdue(age)));
}

Napi::Value Session::forward_unanswered(const Napi::CallbackInfo& info) {
  const std::chrono::milliseconds age(small_number(info[0], "ms", std::numeric_limits<std::uint32_t>::max()));
  return Napi::Number::New(info.Env(), static_cast<double>(session_->forward_unanswered(age)));
}

Napi::Value Session::open_backing(const Napi::CallbackInfo& info) {
  const auto file = StoreFile::file_of(info[0]);
  const auto id = ended_ ? Result<std::int32_t>(Failure{ENODEV}) : syscalls::open_backing(fd_, file->fd());
  throw_on_error(info.Env(), id.error(), "ioctl");
  return Napi::Number::New(info.Env(), id.value());
}

Napi::Value Session::open_backing_of(const Napi::CallbackInfo& info) {
  const auto fd = static_cast<int>(small_number(info[0], "fd", std::numeric_limits<std::int32_t>::max()));
  const auto id = ended_ ? Result<std::int32_t>(Failure{ENODEV}) : syscalls::open_backing(fd_, fd);
  throw_on_error(info.Env(), id.error(), "ioctl");
  return Napi::Number::New(info.Env(), id.value());
}

void Session::close_backing(const Napi::CallbackInfo& info) {
  const auto id = static_cast<std::int32_t>(small_number(info[0], "id", std::numeric_limits<std::int32_t>::max()));
  throw_on_error(info.Env(), ended_ ? ENODEV : syscalls::close_backing(fd_, id), "ioctl");
}

void Session::close_backings(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), ended_ ? ENODEV : syscalls::close_backings(fd_), "ioctl");
}

Napi::Value Session::counters(const Napi::CallbackInfo& info) {
  const session::Counters counted = session_->counters();
  const Napi::Object made = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, std::uint64_t value) {
    made.Set(name, Napi::Number::New(info.Env(), static_cast<double>(value)));
  };
  set("hits", counted.hits);
  set("hitBytes", counted.hit_bytes);
  set("deferred", counted.deferred);
  set("forwarded", counted.forwarded);
  set("droppedSamples", session_->dropped_samples());
  return made;
}

Napi::Value Session::take_samples(const Napi::CallbackInfo& info) {
  constexpr std::size_t fields = 5;
  const auto taken = session_->take_samples();
  auto made = Napi::Float64Array::New(info.Env(), taken.size() * fields);
  double* at = made.Data();
  for (const auto& sample : taken) {
    *at++ = sample.file;
    *at++ = sample.object;
    *at++ = static_cast<double>(sample.blocks & 0xffffffffU);
    *at++ = static_cast<double>(sample.blocks >> 32);
    *at++ = sample.reads;
  }
  return made;
}

Napi::Value Session::latencies(const Napi::CallbackInfo& info) {
  const Napi::Object made = Napi::Object::New(info.Env());
  made.Set("memory", counts_of(info.Env(), session_->memory_latencies()));
  made.Set("disk", counts_of(info.Env(), session_->disk_latencies()));
  return made;
}

Napi::Value Session::stop(const Napi::CallbackInfo& info) {
  const auto deferred = Napi::Promise::Deferred::New(info.Env());
  if (ended_) {
    deferred.Resolve(info.Env().Undefined());
  } else {
    stops_.push_back(deferred);
    session_->stop();
  }
  return deferred.Promise();
}

}  // namespace parentfs::bridge
