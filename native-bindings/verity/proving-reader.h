/**
 * Proving reader: an origin reader whose answers are proven before they count as right.
 *
 * The digests are computed on threads of their own: the thread that receives goes on receiving. A range whose digests
 * are not in memory is not read: TypeScript reads it, and brings them.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "image/origin-reader.h"
#include "threads/detached-pool.h"
#include "verity/tree-proof.h"

namespace parentfs::verity {

/** The threads of all readers. */
struct ProofThreads {
  /** One hashes two to three GiB/s with the processor's instructions; the receiving thread brings less. */
  static constexpr unsigned threads_max = 2;
  /** Answers that wait for one; more are proven by the thread that brought them. */
  static constexpr std::size_t waiting_max = 256;

  threads::DetachedPool pool{threads_max, waiting_max};
};

class ProvingReader final : public image::OriginReader {
 public:
  ProvingReader(std::shared_ptr<image::OriginReader> reader, std::shared_ptr<TreeProof> proof,
                std::shared_ptr<ProofThreads> threads);

  [[nodiscard]] bool may_read(std::uint64_t offset, std::size_t length) const override;
  bool read(std::uint64_t offset, std::span<std::byte> target, Done done) override;

 private:
  const std::shared_ptr<image::OriginReader> reader_;
  const std::shared_ptr<TreeProof> proof_;
  const std::shared_ptr<ProofThreads> threads_;
};

}  // namespace parentfs::verity
