/**
 * TreeProof of src/native/tree-proof.ts: the leaves of one image's hash tree, and what is proven by them.
 */
#pragma once

#include <napi.h>

#include <memory>

#include "verity/proving-reader.h"
#include "verity/tree-proof.h"

namespace parentfs::bridge {

/** One for the process: all proofs share its memory and its threads. */
struct ProofParts {
  std::shared_ptr<verity::LeafCache> cache;
  std::shared_ptr<verity::ProofThreads> threads;
};

struct NewTreeProof {
  std::shared_ptr<verity::TreeProof> proof;
  std::shared_ptr<verity::ProofThreads> threads;
};

class TreeProof final : public Napi::ObjectWrap<TreeProof> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit TreeProof(const Napi::CallbackInfo& info);
  /** Null for null. @throws TypeError for what is no TreeProof */
  static std::shared_ptr<verity::TreeProof> proof_of(const Napi::Value& value);

 private:
  void put(const Napi::CallbackInfo& info);
  Napi::Value leaf(const Napi::CallbackInfo& info);
  Napi::Value knows(const Napi::CallbackInfo& info);
  Napi::Value find(const Napi::CallbackInfo& info);
  Napi::Value guard(const Napi::CallbackInfo& info);
  Napi::Value take_wrong(const Napi::CallbackInfo& info);

  std::shared_ptr<verity::TreeProof> proof_;
  std::shared_ptr<verity::ProofThreads> threads_;
};

Napi::Value verity_complaint(const Napi::CallbackInfo& info);
Napi::Value create_tree_proof(const Napi::CallbackInfo& info);
Napi::Value signature_complaint(const Napi::CallbackInfo& info);
Napi::Value hash_blocks(const Napi::CallbackInfo& info);

}  // namespace parentfs::bridge
