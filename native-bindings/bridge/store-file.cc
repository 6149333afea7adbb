/** The methods of StoreFile, in the order of src/native/addon.ts. */
#include "bridge/store-file.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/errors.h"
#include "bridge/origin-reader.h"
#include "bridge/shared-buffer.h"
#include "bridge/tree-proof.h"
#include "syscalls/files.h"

namespace parentfs::bridge {

namespace {

Napi::ArrayBuffer buffer_of(Napi::Env env, const std::shared_ptr<residency::Table>& table) {
  return shared_buffer(env, table, {static_cast<std::byte*>(table->data()), table->size_bytes()});
}

}  // namespace

Napi::Function StoreFile::define(Napi::Env env) {
  return DefineClass(env, "StoreFile",
                     {InstanceMethod("read", &StoreFile::read), InstanceMethod("writeBlocks", &StoreFile::write_blocks),
                      InstanceMethod("verify", &StoreFile::verify), InstanceMethod("punch", &StoreFile::punch),
                      InstanceMethod("dropPages", &StoreFile::drop_pages), InstanceMethod("sync", &StoreFile::sync), InstanceMethod("seekData", &StoreFile::seek_data),
                      InstanceMethod("usage", &StoreFile::usage), InstanceMethod("hits", &StoreFile::hits),
                      InstanceMethod("insertBuffered", &StoreFile::insert_buffered), InstanceMethod("releaseBuffered", &StoreFile::release_bytes),
                      InstanceMethod("removeBuffered", &StoreFile::remove_buffered), InstanceMethod("setFetchOrigin", &StoreFile::set_fetch_origin),
                      InstanceMethod("joinFetches", &StoreFile::join_fetches), InstanceMethod("comingBlocks", &StoreFile::coming_blocks),
                      InstanceMethod("isOpenElsewhere", &StoreFile::is_open_elsewhere),
                      InstanceMethod("close", &StoreFile::close)});
}

StoreFile::StoreFile(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const auto& opened = made_by_us<OpenedFile>(info);
  engine_ = opened.engine;
  file_ = opened.file;
  const auto& inflight = file_->inflight();
  const auto number = Napi::Number::New(info.Env(), inflight->number());
  Value().DefineProperty(Napi::PropertyDescriptor::Value("table", buffer_of(info.Env(), file_->table()), napi_enumerable));
  Value().DefineProperty(Napi::PropertyDescriptor::Value("claims", buffer_of(info.Env(), inflight->memory()), napi_enumerable));
  Value().DefineProperty(Napi::PropertyDescriptor::Value("number", number, napi_enumerable));
  Value().TypeTag(&store_file_tag);
}

std::shared_ptr<image::DataFile> StoreFile::file_of(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&store_file_tag)) {
    throw Napi::TypeError::New(value.Env(), "file must be a StoreFile");
  }
  auto file = Unwrap(value.As<Napi::Object>())->file_;
  if (!file) throw system_error(value.Env(), EBADF, "bind");
  return file;
}

Napi::Value StoreFile::perform(Napi::Env env, disk::Lane lane, Napi::Value keep, Task task) {
  if (file_) return engine_->perform(env, lane, keep, std::move(task));
  const auto deferred = Napi::Promise::Deferred::New(env);
  deferred.Reject(system_error(env, EBADF, task.syscall).Value());
  return deferred.Promise();
}

Napi::Value StoreFile::read(const Napi::CallbackInfo& info) {
  const std::uint64_t offset = whole_number(info[0], "offset");
  const std::span<std::byte> target = bytes(info[1], "target");
  const auto whole = std::make_shared<bool>(false);
  // The engine outlives the task: the operation holds it.
  auto work = [file = file_, engine = engine_.get(), whole, offset, target](auto) {
    *whole = file->read_all(offset, target, engine->clock().tick.load(std::memory_order_relaxed));
    return 0;
  };
  auto result = [whole](Napi::Env env) -> Napi::Value { return Napi::Boolean::New(env, *whole); };
  return perform(info.Env(), disk::Lane::read, info[1], {"read", std::move(work), std::move(result)});
}

Napi::Value StoreFile::write_blocks(const Napi::CallbackInfo& info) {
  const Napi::Array offsets = array(info[0], "offsets");
  const Napi::Array extents = array(info[1], "extents");
  const bool to_disk = !info[2].IsUndefined() && flag(info[2], "toDisk");
  const auto medium = to_disk ? image::Medium::disk : image::Medium::page_cache;
  struct Written {
    std::vector<std::uint32_t> sums;
    std::vector<std::uint64_t> zeros;
    std::uint64_t cloned_bytes = 0;
    int error = 0;
  };
  const auto written = std::make_shared<Written>();
  std::vector<std::pair<std::uint64_t, std::span<const std::byte>>> writes;
  for (std::uint32_t k = 0; k < extents.Length(); k++) {
    writes.emplace_back(whole_number(offsets.Get(k), "offset"), bytes(extents.Get(k), "bytes"));
  }
  // Blocks of all extents, one behind another.
  std::shared_ptr<image::DataFile> older;
  std::vector<std::int64_t> sources;
  if (info[3].IsObject()) {
    const Napi::Object clones = object(info[3], "clones");
    older = file_of(clones.Get("file"));
    const Napi::Array offsets_there = array(clones.Get("offsets"), "offsets");
    for (std::uint32_t k = 0; k < offsets_there.Length(); k++) {
      sources.push_back(offsets_there.Get(k).As<Napi::Number>().Int64Value());
    }
    std::size_t blocks = 0;
    const std::size_t block_bytes = file_ ? file_->geometry().block_bytes() : 1;
    for (const auto& write : writes) blocks += (write.second.size() + block_bytes - 1) / block_bytes;
    if (blocks != sources.size()) throw Napi::RangeError::New(info.Env(), "clones must say a source of each block");
  }
  auto work = [file = file_, written, writes = std::move(writes), medium, older, sources = std::move(sources)](auto) {
    std::span<const std::int64_t> left = sources;
    for (const auto& [offset, source] : writes) {
      image::CloneSource clones;
      if (older) {
        const std::size_t block_bytes = file->geometry().block_bytes();
        const std::size_t count = (source.size() + block_bytes - 1) / block_bytes;
        clones = {.file = older.get(), .offsets = left.first(count)};
        left = left.subspan(count);
      }
      const auto outcome = file->write_blocks(offset, source, medium, clones);
      written->error = outcome.error();
      if (!outcome.ok()) break;
      written->sums.insert(written->sums.end(), outcome.value().sums.begin(), outcome.value().sums.end());
      written->zeros.push_back(outcome.value().zero);
      written->cloned_bytes += outcome.value().cloned_bytes;
    }
    return 0;
  };
  auto result = [written](Napi::Env env) -> Napi::Value {
    auto sums = Napi::Uint32Array::New(env, written->sums.size());
    std::ranges::copy(written->sums, sums.Data());
    auto zeros = Napi::BigUint64Array::New(env, written->zeros.size());
    std::ranges::copy(written->zeros, zeros.Data());
    Napi::Object made = Napi::Object::New(env);
    made.Set("sums", sums);
    made.Set("zeros", zeros);
    made.Set("clonedBytes", static_cast<double>(written->cloned_bytes));
    made.Set("error", written->error != 0 ? system_error(env, written->error, "write").Value() : env.Null());
    return made;
  };
  return perform(info.Env(), disk::Lane::write, info[1], {"write", std::move(work), std::move(result)});
}

Napi::Value StoreFile::verify(const Napi::CallbackInfo& info) {
  const std::uint64_t number = whole_number(info[0], "object");
  const std::uint64_t blocks = word(info[1], "blocks");
  image::Sums sums{};
  if (!info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array ||
      info[2].As<Napi::Uint32Array>().ElementLength() != sums.size()) {
    throw Napi::TypeError::New(info.Env(), "sums must be a Uint32Array of 64");
  }
  auto given = info[2].As<Napi::Uint32Array>();
  std::copy_n(given.Data(), sums.size(), sums.begin());
  const auto medium = flag(info[3], "fromDisk") ? image::Medium::disk : image::Medium::page_cache;
  const auto found = std::make_shared<image::Verified>();
  auto work = [file = file_, found, number, blocks, sums, medium, proof = TreeProof::proof_of(info[4])](auto scratch) {
    *found = file->verify(number, blocks, sums, medium, scratch, proof.get());
    return 0;
  };
  auto result = [found](Napi::Env env) -> Napi::Value {
    Napi::Object made = Napi::Object::New(env);
    made.Set("good", Napi::BigInt::New(env, found->good));
    made.Set("unread", Napi::BigInt::New(env, found->unread));
    return made;
  };
  return perform(info.Env(), disk::Lane::read, info.Env().Undefined(), {"read", std::move(work), std::move(result)});
}

Napi::Value StoreFile::punch(const Napi::CallbackInfo& info) {
  const std::uint64_t offset = whole_number(info[0], "offset");
  const std::uint64_t length = whole_number(info[1], "length");
  auto work = [file = file_, offset, length](auto) { return file->punch(offset, length); };
  return perform(info.Env(), disk::Lane::write, info.Env().Undefined(), {"fallocate", std::move(work), {}});
}

Napi::Value StoreFile::drop_pages(const Napi::CallbackInfo& info) {
  const std::uint64_t offset = whole_number(info[0], "offset");
  const std::uint64_t length = whole_number(info[1], "length");
  auto work = [file = file_, offset, length](auto) { return file->drop_pages(offset, length); };
  return perform(info.Env(), disk::Lane::write, info.Env().Undefined(), {"fadvise", std::move(work), {}});
}

Napi::Value StoreFile::sync(const Napi::CallbackInfo& info) {
  auto work = [file = file_](auto) { return file->sync(); };
  return perform(info.Env(), disk::Lane::write, info.Env().Undefined(), {"fdatasync", std::move(work), {}});
}

Napi::Value StoreFile::seek_data(const Napi::CallbackInfo& info) {
  const std::uint64_t offset = whole_number(info[0], "offset");
  const auto found = std::make_shared<std::int64_t>(-1);
  auto work = [file = file_, found, offset](auto) {
    auto outcome = syscalls::seek_data(file->fd(), offset);
    if (outcome.ok()) *found = outcome.value();
    return outcome.error();
  };
  auto result = [found](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(*found)); };
  return perform(info.Env(), disk::Lane::read, info.Env().Undefined(), {"lseek", std::move(work), std::move(result)});
}

Napi::Value StoreFile::usage(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), file_ ? 0 : EBADF, "fstat");
  const auto usage = syscalls::usage(file_->fd());
  throw_on_error(info.Env(), usage.error(), "fstat");
  const Napi::Object made = Napi::Object::New(info.Env());
  made.Set("sizeBytes", Napi::Number::New(info.Env(), static_cast<double>(usage.value().size_bytes)));
  made.Set("allocatedBytes", Napi::Number::New(info.Env(), static_cast<double>(usage.value().allocated_bytes)));
  return made;
}

Napi::Value StoreFile::is_open_elsewhere(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), file_ ? 0 : EBADF, "fcntl");
  const auto elsewhere = syscalls::open_elsewhere(file_->fd());
  throw_on_error(info.Env(), elsewhere.error(), "fcntl");
  return Napi::Boolean::New(info.Env(), elsewhere.value());
}

Napi::Value StoreFile::hits(const Napi::CallbackInfo& info) {
  const auto [hits, bytes] = file_ ? file_->hits().sum() : image::HitCounts::Sum{};
  const Napi::Object made = Napi::Object::New(info.Env());
  made.Set("hits", Napi::Number::New(info.Env(), static_cast<double>(hits)));
  made.Set("hitBytes", Napi::Number::New(info.Env(), static_cast<double>(bytes)));
  return made;
}

Napi::Value StoreFile::insert_buffered(const Napi::CallbackInfo& info) {
  const std::uint64_t offset = whole_number(info[0], "offset");
  const std::span<const std::byte> source = bytes(info[1], "bytes");
  const std::uint64_t unit_bytes = whole_number(info[2], "unitBytes");
  const std::uint64_t told = word(info[3], "told");
  const bool is_put = file_ && file_->shelf().put(offset, source, unit_bytes, told);
  if (is_put) shelved_.emplace(offset, Napi::Persistent(info[1].As<Napi::Uint8Array>()));
  return Napi::Boolean::New(info.Env(), is_put);
}

void StoreFile::release_bytes(const Napi::CallbackInfo& info) {
  const std::uint64_t offset = whole_number(info[0], "offset");
  if (file_) file_->shelf().release_bytes(offset);
  shelved_.erase(offset);
}

void StoreFile::remove_buffered(const Napi::CallbackInfo& info) {
  if (info[0].IsUndefined()) {
    clear_shelf();
    return;
  }
  const std::uint64_t offset = whole_number(info[0], "offset");
  if (file_) file_->shelf().remove(offset);
  shelved_.erase(offset);
}

void StoreFile::clear_shelf() {
  if (file_) file_->shelf().clear();
  shelved_.clear();
}

void StoreFile::set_fetch_origin(const Napi::CallbackInfo& info) {
  if (file_) file_->inflight()->set_origin(source_of(info[0]));
}

Napi::Value StoreFile::join_fetches(const Napi::CallbackInfo& info) {
  const std::uint64_t object = whole_number(info[0], "object");
  const std::uint64_t blocks = word(info[1], "blocks");
  const Napi::Array joined = Napi::Array::New(info.Env());
  if (!file_) return joined;
  for (const auto& fetch : file_->inflight()->join(object, blocks)) {
    const Napi::Object made = Napi::Object::New(info.Env());
    made.Set("id", Napi::Number::New(info.Env(), static_cast<double>(fetch->id)));
    made.Set("first", Napi::Number::New(info.Env(), std::countr_zero(fetch->blocks)));
    made.Set("count", Napi::Number::New(info.Env(), std::popcount(fetch->blocks)));
    joined.Set(joined.Length(), made);
  }
  return joined;
}

Napi::Value StoreFile::coming_blocks(const Napi::CallbackInfo& info) {
  const std::uint64_t object = whole_number(info[0], "object");
  return Napi::BigInt::New(info.Env(), file_ ? file_->inflight()->coming(object) : std::uint64_t{0});
}

void StoreFile::close(const Napi::CallbackInfo& /*info*/) {
  clear_shelf();
  if (file_) file_->inflight()->set_origin(nullptr);
  file_.reset();
}

}  // namespace parentfs::bridge
