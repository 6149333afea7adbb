/**
 * The addon's functions, in the order of src/native/addon.ts.
 */
#include <fcntl.h>
#include <napi.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/connection-pool.h"
#include "bridge/engine.h"
#include "bridge/errors.h"
#include "bridge/file-readers.h"
#include "bridge/grant.h"
#include "bridge/librbd.h"
#include "bridge/log-writer.h"
#include "bridge/range-receiver.h"
#include "bridge/serving-front.h"
#include "bridge/session.h"
#include "bridge/store-file.h"
#include "bridge/stream-decoder.h"
#include "bridge/tree-proof.h"
#include "bridge/unit-permits.h"
#include "bridge/unpack.h"
#include "disk/aligned-buffer.h"
#include "disk/crc32c.h"
#include "libfuse2/loop.h"
#include "syscalls/files.h"
#include "syscalls/mount.h"
#include "syscalls/process.h"
#include "syscalls/sockets.h"

namespace parentfs::bridge {

namespace {

/** More threads than are of any use: each takes a stack and a buffer. */
constexpr std::uint32_t store_threads_max = 256;

int descriptor(const Napi::Value& value, const char* name) {
  return static_cast<int>(small_number(value, name, std::numeric_limits<std::int32_t>::max()));
}

/** The descriptor is JavaScript's now. */
Napi::Value give(Napi::Env env, Result<OwnedFd> fd, const char* syscall) {
  throw_on_error(env, fd.error(), syscall);
  return Napi::Number::New(env, fd.value().release());
}

Napi::Value crc32c(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), disk::crc32c(bytes(info[0], "bytes")));
}

Napi::Value create_engine(const Napi::CallbackInfo& info) {
  const std::uint32_t threads =
      small_number(object(info[0], "options").Get("storeThreads"), "storeThreads", store_threads_max);
  if (threads == 0) throw Napi::RangeError::New(info.Env(), "storeThreads must be at least 1");
  auto state = StoreOperations::create(info.Env(), threads);
  return info.Env().GetInstanceData<Classes>()->engine.New(
      {Napi::External<std::shared_ptr<StoreOperations>>::New(info.Env(), &state)});
}

Napi::Value create_receiver(const Napi::CallbackInfo& info) {
  NewRangeReceiver made;
  return info.Env().GetInstanceData<Classes>()->receiver.New({Napi::External<NewRangeReceiver>::New(info.Env(), &made)});
}

Napi::Value create_grant(const Napi::CallbackInfo& info) {
  auto grant = std::make_shared<image::Grant>(flag(info[0], "hasReadsRation"), flag(info[1], "hasBytesRation"));
  return info.Env().GetInstanceData<Classes>()->grant.New(
      {Napi::External<std::shared_ptr<image::Grant>>::New(info.Env(), &grant)});
}

Napi::Value create_unit_permits(const Napi::CallbackInfo& info) {
  const std::uint64_t unit_bytes = whole_number(info[0], "unitBytes");
  const std::uint64_t units = whole_number(info[1], "units");
  if (unit_bytes == 0 || units > UnitPermits::units_max) {
    throw Napi::RangeError::New(info.Env(), "unitBytes must be at least 1, and units within their bound");
  }
  auto permits = std::make_shared<image::UnitPermits>(unit_bytes, units);
  return info.Env().GetInstanceData<Classes>()->unit_permits.New(
      {Napi::External<std::shared_ptr<image::UnitPermits>>::New(info.Env(), &permits)});
}

Napi::Value create_file_readers(const Napi::CallbackInfo& info) {
  auto threads = std::make_shared<image::FileThreads>();
  return info.Env().GetInstanceData<Classes>()->file_readers.New(
      {Napi::External<std::shared_ptr<image::FileThreads>>::New(info.Env(), &threads)});
}

Napi::Value open_fuse(const Napi::CallbackInfo& info) { return give(info.Env(), syscalls::open_fuse(), "open"); }

void mount_fuse(const Napi::CallbackInfo& info) {
  const int error = syscalls::mount_fuse(descriptor(info[0], "fd"), text(info[1], "source"),
                                         text(info[2], "mountpoint"), text(info[3], "options"));
  throw_on_error(info.Env(), error, "mount");
}

Napi::Value is_fuse_connected(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), syscalls::is_fuse_connected(descriptor(info[0], "fd")));
}

void unmount(const Napi::CallbackInfo& info) {
  if (!info[1].IsBoolean()) throw Napi::TypeError::New(info.Env(), "force must be a boolean");
  throw_on_error(info.Env(), syscalls::unmount(text(info[0], "mountpoint"), info[1].As<Napi::Boolean>()), "umount2");
}

Napi::Value lock_file(const Napi::CallbackInfo& info) {
  auto fd = syscalls::lock_file(text(info[0], "path"));
  // Linux has one number for two names, and the list of names has the other one.
  if (fd.error() == EWOULDBLOCK) throw system_error(info.Env(), EWOULDBLOCK, "flock", "EWOULDBLOCK");
  return give(info.Env(), std::move(fd), "open");
}

Napi::Value extent_at(const Napi::CallbackInfo& info) {
  const auto extent = syscalls::extent_at(descriptor(info[0], "fd"), whole_number(info[1], "offset"));
  throw_on_error(info.Env(), extent.error(), "lseek");
  const Napi::Object made = Napi::Object::New(info.Env());
  made.Set("hole", Napi::Boolean::New(info.Env(), extent.value().hole));
  made.Set("end", Napi::Number::New(info.Env(), static_cast<double>(extent.value().end)));
  return made;
}

Napi::Value socket_pair(const Napi::CallbackInfo& info) {
  auto pair = syscalls::socket_pair();
  throw_on_error(info.Env(), pair.error(), "socketpair");
  const Napi::Array made = Napi::Array::New(info.Env(), 2);
  made.Set(0U, Napi::Number::New(info.Env(), pair.value().first.release()));
  made.Set(1U, Napi::Number::New(info.Env(), pair.value().second.release()));
  return made;
}

Napi::Value peer_uid(const Napi::CallbackInfo& info) {
  const auto uid = syscalls::peer_uid(descriptor(info[0], "socket"));
  throw_on_error(info.Env(), uid.error(), "getsockopt");
  return Napi::Number::New(info.Env(), uid.value());
}

void send_fd(const Napi::CallbackInfo& info) {
  const int error = syscalls::send_fd(descriptor(info[0], "socket"), descriptor(info[1], "fd"));
  throw_on_error(info.Env(), error, "sendmsg");
}

Napi::Value receive_fd(const Napi::CallbackInfo& info) {
  return give(info.Env(), syscalls::receive_fd(descriptor(info[0], "socket")), "recvmsg");
}

void send_datagram(const Napi::CallbackInfo& info) {
  const int beside = info[2].IsNull() ? -1 : descriptor(info[2], "fd");
  throw_on_error(info.Env(), syscalls::send_datagram(text(info[0], "name"), text(info[1], "text"), beside), "sendmsg");
}

void close_fd(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), ::close(descriptor(info[0], "fd")) == 0 ? 0 : errno, "close");
}

void end_process(const Napi::CallbackInfo& info) { ::_exit(info[0].As<Napi::Number>().Int32Value()); }

void forbid_dumps(const Napi::CallbackInfo& info) {
  throw_on_error(info.Env(), syscalls::forbid_dumps(), "prctl");
}

void release_free_memory(const Napi::CallbackInfo& /*info*/) { syscalls::release_free_memory(); }

Napi::Value bytes_to_page(const Napi::CallbackInfo& info) {
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes(info[0], "bytes").data());
  return Napi::Number::New(info.Env(), static_cast<double>(-begin % disk::AlignedBuffer::page_bytes));
}

void load_libfuse2(const Napi::CallbackInfo& info) {
  const std::string complaint = libfuse2::load(text(info[0], "path"));
  if (!complaint.empty()) throw Napi::Error::New(info.Env(), complaint);
}

Napi::Value latest_libfuse2_loop(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), libfuse2::latest_loop()); }

Napi::Value is_libfuse2_loop_running(const Napi::CallbackInfo& info) {
  const std::uint32_t loop = small_number(info[0], "loop", std::numeric_limits<std::uint32_t>::max());
  return Napi::Boolean::New(info.Env(), libfuse2::is_running(loop));
}

Napi::Value create_log_writer(const Napi::CallbackInfo& info) {
  OwnedFd own(::fcntl(descriptor(info[0], "fd"), F_DUPFD_CLOEXEC, 0));
  throw_on_error(info.Env(), own.get() < 0 ? errno : 0, "fcntl");
  NewLogWriter made{.fd = std::move(own),
                    .notice = text(info[1], "notice"),
                    .queued_bytes_max = small_number(info[2], "queuedBytesMax", std::numeric_limits<std::int32_t>::max())};
  return info.Env().GetInstanceData<Classes>()->log_writer.New({Napi::External<NewLogWriter>::New(info.Env(), &made)});
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* classes = new Classes;
  classes->engine = Napi::Persistent(Engine::define(env));
  classes->store_file = Napi::Persistent(StoreFile::define(env));
  classes->session = Napi::Persistent(Session::define(env));
  classes->receiver = Napi::Persistent(RangeReceiver::define(env));
  classes->serving_front = Napi::Persistent(ServingFront::define(env));
  classes->grant = Napi::Persistent(OriginGrant::define(env));
  classes->unit_permits = Napi::Persistent(UnitPermits::define(env));
  classes->connection_pool = Napi::Persistent(ConnectionPool::define(env));
  classes->log_writer = Napi::Persistent(LogWriter::define(env));
  classes->file_readers = Napi::Persistent(FileReaders::define(env));
  classes->tree_proof = Napi::Persistent(TreeProof::define(env));
  classes->librbd_keeper = Napi::Persistent(LibrbdKeeper::define(env));
  classes->librbd_responder = Napi::Persistent(LibrbdResponder::define(env));
  env.SetInstanceData(classes);
  exports.Set("crc32c", Napi::Function::New(env, crc32c, "crc32c"));
  exports.Set("createEngine", Napi::Function::New(env, create_engine, "createEngine"));
  exports.Set("createReceiver", Napi::Function::New(env, create_receiver, "createReceiver"));
  exports.Set("createGrant", Napi::Function::New(env, create_grant, "createGrant"));
  exports.Set("createUnitPermits", Napi::Function::New(env, create_unit_permits, "createUnitPermits"));
  exports.Set("createFileReaders", Napi::Function::New(env, create_file_readers, "createFileReaders"));
  exports.Set("openFuse", Napi::Function::New(env, open_fuse, "openFuse"));
  exports.Set("mountFuse", Napi::Function::New(env, mount_fuse, "mountFuse"));
  exports.Set("isFuseConnected", Napi::Function::New(env, is_fuse_connected, "isFuseConnected"));
  exports.Set("unmount", Napi::Function::New(env, unmount, "unmount"));
  exports.Set("lockFile", Napi::Function::New(env, lock_file, "lockFile"));
  exports.Set("extentAt", Napi::Function::New(env, extent_at, "extentAt"));
  exports.Set("socketPair", Napi::Function::New(env, socket_pair, "socketPair"));
  exports.Set("peerUid", Napi::Function::New(env, peer_uid, "peerUid"));
  exports.Set("sendFd", Napi::Function::New(env, send_fd, "sendFd"));
  exports.Set("receiveFd", Napi::Function::New(env, receive_fd, "receiveFd"));
  exports.Set("sendDatagram", Napi::Function::New(env, send_datagram, "sendDatagram"));
  exports.Set("closeFd", Napi::Function::New(env, close_fd, "closeFd"));
  exports.Set("endProcess", Napi::Function::New(env, end_process, "endProcess"));
  exports.Set("forbidDumps", Napi::Function::New(env, forbid_dumps, "forbidDumps"));
  exports.Set("releaseFreeMemory", Napi::Function::New(env, release_free_memory, "releaseFreeMemory"));
  exports.Set("bytesToPage", Napi::Function::New(env, bytes_to_page, "bytesToPage"));
  exports.Set("loadLibfuse2", Napi::Function::New(env, load_libfuse2, "loadLibfuse2"));
  exports.Set("latestLibfuse2Loop", Napi::Function::New(env, latest_libfuse2_loop, "latestLibfuse2Loop"));
  exports.Set("isLibfuse2LoopRunning", Napi::Function::New(env, is_libfuse2_loop_running, "isLibfuse2LoopRunning"));
  exports.Set("createLogWriter", Napi::Function::New(env, create_log_writer, "createLogWriter"));
  exports.Set("unpackComplaint", Napi::Function::New(env, unpack_complaint, "unpackComplaint"));
  exports.Set("streamDecoderComplaint", Napi::Function::New(env, stream_decoder_complaint, "streamDecoderComplaint"));
  exports.Set("createStreamDecoder", Napi::Function::New(env, create_stream_decoder, "createStreamDecoder"));
  exports.Set("verityComplaint", Napi::Function::New(env, verity_complaint, "verityComplaint"));
  exports.Set("signatureComplaint", Napi::Function::New(env, signature_complaint, "signatureComplaint"));
  exports.Set("createTreeProof", Napi::Function::New(env, create_tree_proof, "createTreeProof"));
  exports.Set("hashBlocks", Napi::Function::New(env, hash_blocks, "hashBlocks"));
  exports.Set("unpack", Napi::Function::New(env, unpack, "unpack"));
  add_librbd(env, exports);
  return exports;
}

NODE_API_MODULE(parentfs, init)

}  // namespace

}  // namespace parentfs::bridge
