/** The methods of RangeReceiver, in the order of src/native/addon.ts, and its events. */
#include "bridge/range-receiver.h"

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
#include "http/connection-pool.h"

namespace parentfs::bridge {

namespace {

constexpr std::uint32_t id_max = std::numeric_limits<std::uint32_t>::max();

const char* name_of(http::Event::Kind kind) {
  switch (kind) {
    case http::Event::Kind::ready:
      return "ready";
    case http::Event::Kind::refused:
      return "refused";
    case http::Event::Kind::head:
      return "head";
    case http::Event::Kind::progress:
      return "progress";
    case http::Event::Kind::whole:
      return "whole";
    case http::Event::Kind::other:
      return "other";
    default:
      return "lost";
  }
}

bool is_the_last(http::Event::Kind kind) {
  return kind == http::Event::Kind::refused || kind == http::Event::Kind::other || kind == http::Event::Kind::lost;
}

/** A number and a head, as a listener gets them. */
std::pair<Napi::Value, Napi::Value> facts_of(Napi::Env env, const http::Event& event) {
  const bool lost = event.kind == http::Event::Kind::lost;
  const auto number = Napi::Number::New(env, lost ? event.error : static_cast<double>(event.bytes));
  if (event.head.empty()) return {number, env.Null()};
  auto head = Napi::Uint8Array::New(env, event.head.size());
  std::memcpy(head.Data(), event.head.data(), event.head.size());
  return {number, head};
}

}  // namespace

Napi::Function RangeReceiver::define(Napi::Env env) {
  return DefineClass(env, "RangeReceiver",
                     {InstanceMethod("trust", &RangeReceiver::trust), InstanceMethod("adopt", &RangeReceiver::adopt),
                      InstanceMethod("adoptTls", &RangeReceiver::adopt_tls), InstanceMethod("ask", &RangeReceiver::ask),
                      InstanceMethod("drop", &RangeReceiver::drop), InstanceMethod("forget", &RangeReceiver::forget),
                      InstanceMethod("createPool", &RangeReceiver::create_pool),
                      InstanceMethod("close", &RangeReceiver::close)});
}

RangeReceiver::RangeReceiver(const Napi::CallbackInfo& info)
    : ObjectWrap(info), env_(info.Env()), wake_(Wake::New(info.Env(), "parentfs receiver", 0, 1, this)) {
  made_by_us<NewRangeReceiver>(info);
  wake_.Unref(env_);
  try {
    receiver_ = http::RangeReceiver::make([this] { wake_.NonBlockingCall(); });
  } catch (const std::system_error& error) {
    wake_.Release();
    throw_on_error(env_, error.code().value(), "epoll_create1");
  }
  ended_ = false;
  // After the thread-safe function was made, so that this hook runs before that function's own.
  ::napi_add_env_cleanup_hook(env_, &RangeReceiver::tear_down, this);
}

void RangeReceiver::called(Napi::Env env, Napi::Function /*unused*/, RangeReceiver* self, void* /*unused*/) {
  if (static_cast<napi_env>(env) != nullptr && !self->ended_) self->deliver(env);
}

void RangeReceiver::deliver(Napi::Env env) {
  for (const http::Event& event : receiver_->take_events()) {
    const Napi::HandleScope scope(env);
    const auto found = held_.find(event.connection);
    if (found == held_.end()) continue;  // It was dropped meanwhile.
    if (is_the_last(event.kind) || event.kind == http::Event::Kind::whole) found->second.target.Reset();
    const auto [number, head] = facts_of(env, event);
    const Napi::Value kind = Napi::String::New(env, name_of(event.kind));
    call_listener(found->second.on_event.Value(), kind, number, head);
    if (ended_) return;
  }
}

Napi::Value RangeReceiver::trust(const Napi::CallbackInfo& info) {
  const std::string ciphers = text(info[1], "ciphers");
  std::string key = ciphers + '\n' + text(info[0], "certificates");
  auto found = std::ranges::find(trusts_, key, &decltype(trusts_)::value_type::first);
  if (found == trusts_.end()) {
    auto made = http::TlsContext::create(key.substr(ciphers.size() + 1), ciphers);
    found = trusts_.insert(trusts_.end(), {std::move(key), std::move(made)});
  }
  if (!found->second) return info.Env().Null();
  return Napi::Number::New(info.Env(), static_cast<double>(found - trusts_.begin() + 1));
}

Napi::Value RangeReceiver::adopt(const Napi::CallbackInfo& info) {
  return take(info, 1, [this](OwnedFd socket) { return receiver_->adopt(std::move(socket)); });
}

Napi::Value RangeReceiver::adopt_tls(const Napi::CallbackInfo& info) {
  const std::uint32_t number = small_number(info[1], "trust", static_cast<std::uint32_t>(trusts_.size()));
  const auto tls = number == 0 ? nullptr : trusts_.at(number - 1).second;
  if (!tls) throw Napi::RangeError::New(info.Env(), "trust must be a number of this receiver's");
  const std::string host = text(info[2], "host");
  return take(info, 3, [&](OwnedFd socket) { return receiver_->adopt(std::move(socket), *tls, host); });
}

Napi::Value RangeReceiver::take(const Napi::CallbackInfo& info, std::size_t listener,
                           const std::function<Result<std::uint32_t>(OwnedFd socket)>& adopt) {
  const auto fd = static_cast<int>(small_number(info[0], "fd", std::numeric_limits<std::int32_t>::max()));
  auto on_event = Napi::Persistent(function(info[listener], "onEvent"));
  OwnedFd own(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  throw_on_error(info.Env(), own.get() < 0 ? errno : 0, "fcntl");
  const auto id = ended_ ? Result<std::uint32_t>(Failure{ECANCELED}) : adopt(std::move(own));
  throw_on_error(info.Env(), id.error(), "epoll_ctl");
  held_[id.value()] = {.on_event = std::move(on_event), .target = {}};
  return Napi::Number::New(info.Env(), id.value());
}

void RangeReceiver::ask(const Napi::CallbackInfo& info) {
  const std::uint32_t id = small_number(info[0], "connection", id_max);
  const auto request = bytes(info[1], "request");
  const auto target = bytes(info[2], "target");
  const auto found = held_.find(id);
  throw_on_error(info.Env(), found == held_.end() ? ENOTCONN : 0, "send");
  const std::string_view text(reinterpret_cast<const char*>(request.data()), request.size());
  auto kept = Napi::Persistent(info[2].As<Napi::Uint8Array>());
  throw_on_error(info.Env(), receiver_->ask(id, text, target), "send");
  found->second.target = std::move(kept);
}

void RangeReceiver::drop(const Napi::CallbackInfo& info) {
  const std::uint32_t id = small_number(info[0], "connection", id_max);
  if (!ended_) receiver_->drop(id);
  held_.erase(id);
}

void RangeReceiver::forget(const Napi::CallbackInfo& info) { held_.erase(small_number(info[0], "connection", id_max)); }

Napi::Value RangeReceiver::create_pool(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), ended_ ? ECANCELED : 0, "createPool");
  auto pool = std::make_shared<http::ConnectionPool>(receiver_);
  return info.Env().GetInstanceData<Classes>()->connection_pool.New(
      {Napi::External<std::shared_ptr<http::ConnectionPool>>::New(info.Env(), &pool)});
}

void RangeReceiver::close(const Napi::CallbackInfo& /*info*/) { end(); }

void RangeReceiver::end() {
  if (std::exchange(ended_, true)) return;
  ::napi_remove_env_cleanup_hook(env_, &RangeReceiver::tear_down, this);
  receiver_->close();
  wake_.Release();
  held_.clear();
}

void RangeReceiver::tear_down(void* self) {
  auto* receiver = static_cast<RangeReceiver*>(self);
  receiver->ended_ = true;
  receiver->receiver_->close();
}

}  // namespace parentfs::bridge
