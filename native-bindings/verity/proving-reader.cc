/** Reads that end with a proof. */
#include "verity/proving-reader.h"

#include <utility>

namespace parentfs::verity {

ProvingReader::ProvingReader(std::shared_ptr<image::OriginReader> reader, std::shared_ptr<TreeProof> proof,
                             std::shared_ptr<ProofThreads> threads)
    : reader_(std::move(reader)), proof_(std::move(proof)), threads_(std::move(threads)) {}

bool ProvingReader::may_read(std::uint64_t offset, std::size_t length) const { return reader_->may_read(offset, length); }

bool ProvingReader::read(std::uint64_t offset, std::span<std::byte> target, Done done) {
  if (!proof_->knows(offset, target.size())) return false;
  return reader_->read(
      offset, target, [proof = proof_, threads = threads_, offset, target, done = std::move(done)](bool right) {
        if (!right) {
          done(false);
          return;
        }
        const auto judge = [proof, offset, target, done] {
          const auto found = proof->find(offset, target);
          if (found.proof == image::Proof::wrong) proof->note_wrong(found.block);
          done(found.proof == image::Proof::right);
        };
        if (!threads->pool.submit(judge)) judge();
      });
}

}  // namespace parentfs::verity
