/**
 * The addon for Ceph: its functions and CephCluster, in the order of src/native/ceph-types.ts.
 */
#include <napi.h>

#include <cerrno>
#include <utility>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/errors.h"
#include "bridge/rbd/classes.h"

namespace parentfs::bridge {

namespace {

/** More threads than are of any use. */
constexpr std::uint32_t threads_max = 64;
constexpr std::uint32_t waiting_limit = 1U << 20U;

Napi::Value open_libraries(const Napi::CallbackInfo& info) {
  const auto opened = rbd::open_library();
  if (opened.library != nullptr) return info.Env().Null();
  return Napi::String::New(info.Env(), opened.complaint);
}

rbd::ClusterOptions options_of(const Napi::Object& given) {
  rbd::ClusterOptions options;
  options.cluster = text(given.Get("cluster"), "cluster");
  options.user = text(given.Get("user"), "user");
  const Napi::Value file = given.Get("configurationFile");
  if (!file.IsNull()) options.configuration_file = text(file, "configurationFile");
  const auto list = object(given.Get("options"), "options").As<Napi::Array>();
  for (std::uint32_t k = 0; k + 1 < list.Length(); k += 2) {
    options.options.emplace_back(text(list.Get(k), "option"), text(list.Get(k + 1), "value"));
  }
  return options;
}

Napi::Value connect(const Napi::CallbackInfo& info) {
  const auto opened = rbd::open_library();
  if (opened.library == nullptr) throw Napi::Error::New(info.Env(), opened.complaint);
  const Napi::Object given = object(info[0], "options");
  const auto count = small_number(given.Get("threads"), "threads", threads_max);
  const auto waiting_max = small_number(given.Get("waitingMax"), "waitingMax", waiting_limit);
  const auto threads = std::make_shared<rbd::CephThreads>(count, waiting_max);
  auto work = [library = opened.library, threads, options = options_of(given)](rbd::Problem& problem) {
    auto cluster = rbd::Cluster::connect(*library, threads, options, problem);
    return [cluster](Napi::Env env) { return wrap(env, CephClasses::of(env).cluster, cluster); };
  };
  return call_for(info.Env(), *threads, "rados_connect", std::move(work));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* classes = new CephClasses;
  classes->cluster = Napi::Persistent(CephCluster::define(env));
  classes->pool = Napi::Persistent(CephPool::define(env));
  classes->image = Napi::Persistent(CephImage::define(env));
  classes->watch = Napi::Persistent(CephWatch::define(env));
  classes->answers = Answers::create(env);
  env.SetInstanceData(classes);
  exports.Set("openLibraries", Napi::Function::New(env, open_libraries, "openLibraries"));
  exports.Set("connect", Napi::Function::New(env, connect, "connect"));
  return exports;
}

NODE_API_MODULE(parentfs_rbd, init)

}  // namespace

Napi::Function CephCluster::define(Napi::Env env) {
  return DefineClass(env, "CephCluster",
                     {InstanceMethod("openPool", &CephCluster::open_pool),
                      InstanceMethod("running", &CephCluster::running), InstanceMethod("close", &CephCluster::close)});
}

CephCluster::CephCluster(const Napi::CallbackInfo& info)
    : ObjectWrap(info), cluster_(made_by_us<std::shared_ptr<rbd::Cluster>>(info)) {}

Napi::Value CephCluster::open_pool(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), cluster_ ? 0 : EBADF, "rados_ioctx_create");
  auto work = [cluster = cluster_, name = text(info[0], "name"),
               name_space = text(info[1], "namespace")](rbd::Problem& problem) {
    auto pool = rbd::Pool::open(cluster, name, name_space, problem);
    return [pool](Napi::Env env) { return wrap(env, CephClasses::of(env).pool, pool); };
  };
  return call_for(info.Env(), *cluster_->threads(), "rados_ioctx_create", std::move(work));
}

Napi::Value CephCluster::running(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), cluster_ ? static_cast<double>(cluster_->threads()->calls.running()) : 0);
}

Napi::Value CephCluster::close(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), cluster_ ? 0 : EBADF, "rados_shutdown");
  const auto& answers = CephClasses::of(info.Env()).answers;
  const auto expected = answers->expect(info.Env(), info.Env().Undefined());
  cluster_->on_ended([answers, number = expected.number] { answers->give(number, {}); });
  cluster_.reset();
  return expected.promise;
}

}  // namespace parentfs::bridge
