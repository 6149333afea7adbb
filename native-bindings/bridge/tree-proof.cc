/** The functions of src/native/tree-proof.ts, and the methods of TreeProof in its order. */
#include "bridge/tree-proof.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/origin-reader.h"
#include "verity/signature.h"

namespace parentfs::bridge {

namespace {

/** Leaves in memory, of all images: they cover 3 GiB of data where blocks have 4 KiB and digests 32 bytes. */
constexpr std::size_t leaf_bytes_max = std::size_t{24} * 1024 * 1024;
constexpr std::uint32_t threads_max = 256;

constexpr napi_type_tag tree_proof_tag = {0x71c4a90e5b2d8f36, 0x2e8a6d0f94b7c153};

const ProofParts& parts() {
  static const ProofParts made{.cache = std::make_shared<verity::LeafCache>(leaf_bytes_max),
                               .threads = std::make_shared<verity::ProofThreads>()};
  return made;
}

verity::BlockHash block_hash_of(const Napi::Value& value) {
  const Napi::Env env = value.Env();
  const Napi::Object given = object(value, "hash");
  const std::string algorithm = text(given.Get("algorithm"), "algorithm");
  if (algorithm != "sha256" && algorithm != "sha512") throw Napi::RangeError::New(env, "algorithm must be sha256 or sha512");
  const auto place = flag(given.Get("isSaltBehind"), "isSaltBehind") ? verity::SaltPlace::behind : verity::SaltPlace::before;
  auto made = verity::BlockHash::make(algorithm == "sha256" ? verity::Algorithm::sha256 : verity::Algorithm::sha512,
                                      place, bytes(given.Get("salt"), "salt"));
  if (!made) throw Napi::Error::New(env, "the process has no OpenSSL that computes SHA-2");
  return std::move(*made);
}

/** Hashes on a thread of libuv's pool; the buffer is referenced until it is over. */
class Work : public Napi::AsyncWorker {
 public:
  Work(Napi::Env env, const Napi::Value& kept)
      : AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        kept_(Napi::Persistent(kept.As<Napi::Object>())) {}
  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }
  Napi::Promise::Deferred deferred_;

 private:
  Napi::ObjectReference kept_;
};

class Finding final : public Work {
 public:
  Finding(Napi::Env env, const Napi::Value& kept, std::shared_ptr<verity::TreeProof> proof, std::uint64_t offset,
          std::span<const std::byte> bytes)
      : Work(env, kept), proof_(std::move(proof)), offset_(offset), bytes_(bytes) {}

 protected:
  void Execute() override { found_ = proof_->find(offset_, bytes_); }
  void OnOK() override {
    const auto made = Napi::Object::New(Env());
    const char* said = found_.proof == image::Proof::right ? "right" : found_.proof == image::Proof::wrong ? "wrong" : "unknown";
    made.Set("proof", said);
    made.Set("block", static_cast<double>(found_.block));
    deferred_.Resolve(made);
  }

 private:
  std::shared_ptr<verity::TreeProof> proof_;
  std::uint64_t offset_;
  std::span<const std::byte> bytes_;
  verity::TreeProof::Finding found_{};
};

class Hashing final : public Work {
 public:
  Hashing(Napi::Env env, const Napi::Value& kept, verity::BlockHash hash, std::span<const std::byte> bytes,
          std::uint32_t block_bytes, unsigned threads)
      : Work(env, kept), hash_(std::move(hash)), bytes_(bytes), block_bytes_(block_bytes), threads_(threads),
        digests_(bytes.size() / block_bytes * hash_.digest_bytes()) {}

 protected:
  void Execute() override { hash_.hash_all(bytes_, block_bytes_, digests_.data(), threads_); }
  void OnOK() override {
    auto made = Napi::Buffer<std::byte>::Copy(Env(), digests_.data(), digests_.size());
    deferred_.Resolve(made);
  }

 private:
  verity::BlockHash hash_;
  std::span<const std::byte> bytes_;
  std::uint32_t block_bytes_;
  unsigned threads_;
  std::vector<std::byte> digests_;
};

}  // namespace

Napi::Function TreeProof::define(Napi::Env env) {
  return DefineClass(env, "TreeProof",
                     {InstanceMethod("put", &TreeProof::put), InstanceMethod("leaf", &TreeProof::leaf),
                      InstanceMethod("knows", &TreeProof::knows), InstanceMethod("find", &TreeProof::find),
                      InstanceMethod("guard", &TreeProof::guard), InstanceMethod("takeWrong", &TreeProof::take_wrong)});
}

TreeProof::TreeProof(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  auto& made = made_by_us<NewTreeProof>(info);
  proof_ = made.proof;
  threads_ = made.threads;
  Value().TypeTag(&tree_proof_tag);
}

std::shared_ptr<verity::TreeProof> TreeProof::proof_of(const Napi::Value& value) {
  if (value.IsNull() || value.IsUndefined()) return nullptr;
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&tree_proof_tag)) {
    throw Napi::TypeError::New(value.Env(), "proof must be a TreeProof or null");
  }
  return Unwrap(value.As<Napi::Object>())->proof_;
}

void TreeProof::put(const Napi::CallbackInfo& info) {
  const bool is_whole = proof_->put(whole_number(info[0], "index"), bytes(info[1], "leaf"));
  if (!is_whole) throw Napi::RangeError::New(info.Env(), "a leaf has all its digests");
}

Napi::Value TreeProof::leaf(const Napi::CallbackInfo& info) {
  const auto found = proof_->leaf(whole_number(info[0], "index"));
  if (!found) return info.Env().Null();
  return Napi::Buffer<std::byte>::Copy(info.Env(), found->data(), found->size());
}

Napi::Value TreeProof::knows(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), proof_->knows(whole_number(info[0], "offset"), whole_number(info[1], "length")));
}

Napi::Value TreeProof::find(const Napi::CallbackInfo& info) {
  // Deletes itself when it is over.
  auto* work = new Finding(info.Env(), info[1], proof_, whole_number(info[0], "offset"), bytes(info[1], "bytes"));
  work->Queue();
  return work->promise();
}

Napi::Value TreeProof::guard(const Napi::CallbackInfo& info) {
  auto reader = source_of(info[0]);
  if (!reader) throw Napi::TypeError::New(info.Env(), "reader must be an OriginReader");
  return source_value(info.Env(), std::make_shared<verity::ProvingReader>(std::move(reader), proof_, threads_));
}

Napi::Value TreeProof::take_wrong(const Napi::CallbackInfo& info) {
  const auto blocks = proof_->take_wrong();
  auto made = Napi::Array::New(info.Env(), blocks.size());
  for (std::uint32_t k = 0; k < blocks.size(); k++) made.Set(k, static_cast<double>(blocks[k]));
  return made;
}

Napi::Value verity_complaint(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), verity::sha2() ? "" : "the process has no OpenSSL that computes SHA-2");
}

Napi::Value signature_complaint(const Napi::CallbackInfo& info) {
  const Napi::Array given = array(info[0], "certificates");
  std::vector<std::string> certificates;
  for (std::uint32_t k = 0; k < given.Length(); k++) certificates.push_back(text(given.Get(k), "certificate"));
  return Napi::String::New(info.Env(), verity::signature_complaint(certificates, bytes(info[1], "signature"),
                                                                   bytes(info[2], "content")));
}

Napi::Value create_tree_proof(const Napi::CallbackInfo& info) {
  const Napi::Object shape = object(info[1], "shape");
  const verity::TreeShape given{
      .data_blocks = whole_number(shape.Get("dataBlocks"), "dataBlocks"),
      .data_block_bytes = small_number(shape.Get("dataBlockBytes"), "dataBlockBytes", int_max),
      .digests_per_leaf = small_number(shape.Get("digestsPerLeaf"), "digestsPerLeaf", int_max),
  };
  if (given.data_blocks == 0 || given.data_block_bytes == 0 || given.digests_per_leaf == 0) {
    throw Napi::RangeError::New(info.Env(), "a tree has data blocks and digests");
  }
  auto proof = std::make_shared<verity::TreeProof>(parts().cache, block_hash_of(info[0]), given);
  NewTreeProof made{.proof = std::move(proof), .threads = parts().threads};
  return info.Env().GetInstanceData<Classes>()->tree_proof.New({Napi::External<NewTreeProof>::New(info.Env(), &made)});
}

Napi::Value hash_blocks(const Napi::CallbackInfo& info) {
  const auto source = bytes(info[1], "bytes");
  const std::uint32_t block_bytes = small_number(info[2], "blockBytes", int_max);
  const std::uint32_t threads = small_number(info[3], "threads", threads_max);
  if (block_bytes == 0 || source.size() % block_bytes != 0 || threads == 0) {
    throw Napi::RangeError::New(info.Env(), "bytes must be whole blocks, and threads at least 1");
  }
  // Deletes itself when it is over.
  auto* work = new Hashing(info.Env(), info[1], block_hash_of(info[0]), source, block_bytes, threads);
  work->Queue();
  return work->promise();
}

}  // namespace parentfs::bridge
