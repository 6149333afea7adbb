/** The methods of CephPool and CephImage, in the order of src/native/ceph-types.ts. */
#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/errors.h"
#include "bridge/rbd/classes.h"
#include "rbd/origin-readers.h"
#include "bridge/origin-reader.h"

namespace parentfs::bridge {

namespace {

/** Names in one listing at most: what asks has its own, lower limit. */
constexpr std::uint32_t names_max = 1U << 28U;

Napi::Value strings(Napi::Env env, const std::vector<std::string>& texts) {
  const Napi::Array made = Napi::Array::New(env, texts.size());
  for (std::uint32_t k = 0; k < texts.size(); k++) made.Set(k, Napi::String::New(env, texts[k]));
  return made;
}

Napi::Value number(Napi::Env env, auto value) { return Napi::Number::New(env, static_cast<double>(value)); }

Napi::Value description(Napi::Env env, const rbd::ImageDescription& image) {
  const Napi::Array snapshots = Napi::Array::New(env, image.snapshots.size());
  for (std::uint32_t k = 0; k < image.snapshots.size(); k++) {
    const rbd::Snapshot& snapshot = image.snapshots[k];
    const Napi::Object made = Napi::Object::New(env);
    made.Set("id", Napi::BigInt::New(env, snapshot.id));
    made.Set("name", Napi::String::New(env, snapshot.name));
    made.Set("sizeBytes", number(env, snapshot.size_bytes));
    made.Set("isProtected", Napi::Boolean::New(env, snapshot.is_protected));
    made.Set("createdMs", number(env, snapshot.created_ms));
    snapshots.Set(k, made);
  }
  const Napi::Object made = Napi::Object::New(env);
  made.Set("id", Napi::String::New(env, image.id));
  made.Set("sizeBytes", number(env, image.size_bytes));
  made.Set("modifiedMs", number(env, image.modified_ms));
  made.Set("snapshots", snapshots);
  return made;
}

}  // namespace

Napi::Function CephPool::define(Napi::Env env) {
  return DefineClass(
      env, "CephPool",
      {InstanceMethod("images", &CephPool::images), InstanceMethod("describeImage", &CephPool::describe_image),
       InstanceMethod("openImage", &CephPool::open_image), InstanceMethod("snapshotIds", &CephPool::snapshot_ids),
       InstanceMethod("objects", &CephPool::objects), InstanceMethod("statObject", &CephPool::stat_object),
       InstanceMethod("readObject", &CephPool::read_object), InstanceMethod("source", &CephPool::source),
       InstanceMethod("omapEntries", &CephPool::omap_entries),
       InstanceMethod("setOmapEntry", &CephPool::set_omap_entry),
       InstanceMethod("removeOmapEntry", &CephPool::remove_omap_entry),
       InstanceMethod("notifyWatchers", &CephPool::notify_watchers), InstanceMethod("watch", &CephPool::watch),
       InstanceMethod("close", &CephPool::close)});
}

CephPool::CephPool(const Napi::CallbackInfo& info)
    : ObjectWrap(info), pool_(made_by_us<std::shared_ptr<rbd::Pool>>(info)) {
  Value().DefineProperty(
      Napi::PropertyDescriptor::Value("id", number(info.Env(), pool_->id()), napi_enumerable));
}

const std::shared_ptr<rbd::Pool>& CephPool::open(Napi::Env env) {
  throw_on_error(env, pool_ ? 0 : EBADF, "rados_ioctx_create");
  return pool_;
}

Napi::Value CephPool::images(const Napi::CallbackInfo& info) {
  auto work = [pool = open(info.Env())](rbd::Problem& problem) {
    return [images = pool->images(problem)](Napi::Env env) -> Napi::Value {
      const Napi::Array made = Napi::Array::New(env, images.size());
      for (std::uint32_t k = 0; k < images.size(); k++) {
        const Napi::Object image = Napi::Object::New(env);
        image.Set("id", Napi::String::New(env, images[k].id));
        image.Set("name", Napi::String::New(env, images[k].name));
        made.Set(k, image);
      }
      return made;
    };
  };
  return call_for(info.Env(), pool_->threads(), "rbd_list2", std::move(work));
}

Napi::Value CephPool::describe_image(const Napi::CallbackInfo& info) {
  auto work = [pool = open(info.Env()), name = text(info[0], "name")](rbd::Problem& problem) {
    return [image = rbd::describe(pool, name, problem)](Napi::Env env) { return description(env, image); };
  };
  return call_for(info.Env(), pool_->threads(), "rbd_open", std::move(work));
}

Napi::Value CephPool::open_image(const Napi::CallbackInfo& info) {
  auto work = [pool = open(info.Env()), id = text(info[0], "id"),
               snapshot = word(info[1], "snapshot")](rbd::Problem& problem) {
    auto image = rbd::Image::open(pool, id, snapshot, problem);
    return [image](Napi::Env env) { return wrap(env, CephClasses::of(env).image, image); };
  };
  return call_for(info.Env(), pool_->threads(), "rbd_open", std::move(work));
}

Napi::Value CephPool::snapshot_ids(const Napi::CallbackInfo& info) {
  const auto ask = [&](const std::shared_ptr<Answers>& answers, std::uint64_t asked) {
    return rbd::snapshot_ids(open(info.Env()), text(info[0], "imageId"), [answers, asked](rbd::SnapshotIds found) {
      const rbd::Problem problem = found.problem;
      answers->give(asked, {.problem = problem, .result = [ids = std::move(found.ids)](Napi::Env env) -> Napi::Value {
                              const Napi::Array made = Napi::Array::New(env, ids.size());
                              for (std::uint32_t k = 0; k < ids.size(); k++) {
                                made.Set(k, Napi::BigInt::New(env, ids[k]));
                              }
                              return made;
                            }});
    });
  };
  return ask_for(info.Env(), "rados_aio_exec", ask, info.Env().Undefined());
}

Napi::Value CephPool::objects(const Napi::CallbackInfo& info) {
  auto work = [pool = open(info.Env()), prefix = text(info[0], "prefix"),
               count_max = small_number(info[1], "countMax", names_max)](rbd::Problem& problem) {
    return [names = pool->objects(prefix, count_max, problem)](Napi::Env env) { return strings(env, names); };
  };
  return call_for(info.Env(), pool_->threads(), "rados_nobjects_list", std::move(work));
}

Napi::Value CephPool::stat_object(const Napi::CallbackInfo& info) {
  const auto ask = [&](const std::shared_ptr<Answers>& answers, std::uint64_t asked) {
    return rbd::stat_object(open(info.Env()), text(info[0], "name"), [answers, asked](const rbd::ObjectFacts& facts) {
      answers->give(asked, {.problem = facts.problem, .result = [facts](Napi::Env env) -> Napi::Value {
                              const Napi::Object made = Napi::Object::New(env);
                              made.Set("sizeBytes", number(env, facts.size_bytes));
                              made.Set("modifiedMs", number(env, facts.modified_ms));
                              made.Set("version", Napi::BigInt::New(env, facts.version));
                              return made;
                            }});
    });
  };
  return ask_for(info.Env(), "rados_aio_stat", ask, info.Env().Undefined());
}

Napi::Value CephPool::read_object(const Napi::CallbackInfo& info) {
  const auto& pool = open(info.Env());
  const std::string name = text(info[0], "name");
  const std::uint64_t version = word(info[1], "version");
  const std::uint64_t offset = whole_number(info[2], "offset");
  const std::span<std::byte> target = bytes(info[3], "target");
  const auto start = [&](const std::shared_ptr<rbd::Target>& place, const std::shared_ptr<Answers>& answers,
                         std::uint64_t asked) {
    return rbd::read_object(pool, name, version, offset, target.size(), place,
                            [answers, asked](const rbd::Problem& problem) {
                              answers->give(asked, {.problem = problem, .result = {}});
                            });
  };
  return read_into(info, info[3], target, "rados_aio_read_op_operate", start);
}

Napi::Value CephPool::source(const Napi::CallbackInfo& info) {
  auto reader = std::make_shared<rbd::ObjectReader>(open(info.Env()), text(info[0], "name"), word(info[1], "version"));
  return source_value(info.Env(), std::move(reader));
}

void CephPool::close(const Napi::CallbackInfo& /*info*/) { pool_.reset(); }

Napi::Function CephImage::define(Napi::Env env) {
  return DefineClass(env, "CephImage",
                     {InstanceMethod("layout", &CephImage::layout), InstanceMethod("data", &CephImage::data), InstanceMethod("read", &CephImage::read),
                      InstanceMethod("source", &CephImage::source), InstanceMethod("close", &CephImage::close)});
}

CephImage::CephImage(const Napi::CallbackInfo& info)
    : ObjectWrap(info), image_(made_by_us<std::shared_ptr<rbd::Image>>(info)) {
  const Napi::Env env = info.Env();
  Value().DefineProperties(
      {Napi::PropertyDescriptor::Value("sizeBytes", number(env, image_->size_bytes()), napi_enumerable),
       Napi::PropertyDescriptor::Value("hasParent", Napi::Boolean::New(env, image_->has_parent()), napi_enumerable),
       Napi::PropertyDescriptor::Value("hasObjectMap", Napi::Boolean::New(env, image_->has_object_map()),
                                       napi_enumerable)});
}

Napi::Value CephImage::layout(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), image_ ? 0 : EBADF, "rbd_stat");
  auto work = [image = image_](rbd::Problem& problem) {
    return [layout = image->layout(problem)](Napi::Env env) -> Napi::Value {
      const Napi::Object made = Napi::Object::New(env);
      made.Set("name", Napi::String::New(env, layout.name));
      made.Set("prefix", Napi::String::New(env, layout.prefix));
      made.Set("dataPoolId", Napi::BigInt::New(env, layout.data_pool_id));
      made.Set("objectBytes", number(env, layout.object_bytes));
      made.Set("stripeCount", number(env, layout.stripe_count));
      made.Set("isMigrating", Napi::Boolean::New(env, layout.is_migrating));
      return made;
    };
  };
  return call_for(info.Env(), image_->pool()->threads(), "rbd_stat", std::move(work));
}

Napi::Value CephImage::data(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), image_ ? 0 : EBADF, "rbd_diff_iterate2");
  auto work = [image = image_, offset = whole_number(info[0], "offset"),
               length = whole_number(info[1], "length"),
               with_parent = flag(info[2], "withParent")](rbd::Problem& problem) {
    return [extents = image->data(offset, length, problem, with_parent)](Napi::Env env) -> Napi::Value {
      auto made = Napi::Float64Array::New(env, extents.size() * 2);
      for (std::size_t k = 0; k < extents.size(); k++) {
        made[k * 2] = static_cast<double>(extents[k].offset);
        made[k * 2 + 1] = static_cast<double>(extents[k].end);
      }
      return made;
    };
  };
  return call_for(info.Env(), image_->pool()->threads(), "rbd_diff_iterate2", std::move(work));
}

Napi::Value CephImage::read(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), image_ ? 0 : EBADF, "rbd_aio_read");
  const std::uint64_t offset = whole_number(info[0], "offset");
  const std::span<std::byte> target = bytes(info[1], "target");
  const auto start = [&](const std::shared_ptr<rbd::Target>& place, const std::shared_ptr<Answers>& answers,
                         std::uint64_t asked) {
    return rbd::read_image(image_, offset, target.size(), place, [answers, asked](const rbd::ImageRead& read) {
      answers->give(asked, {.problem = read.problem, .result = [has_zeros = read.has_zeros](Napi::Env env) -> Napi::Value {
                              return Napi::Boolean::New(env, has_zeros);
                            }});
    });
  };
  return read_into(info, info[1], target, "rbd_aio_read", start);
}

Napi::Value CephImage::source(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), image_ ? 0 : EBADF, "rbd_aio_read");
  return source_value(info.Env(), std::make_shared<rbd::ImageReader>(image_));
}

void CephImage::close(const Napi::CallbackInfo& /*info*/) { image_.reset(); }

}  // namespace parentfs::bridge
