/**
 * SHA-256 and SHA-512 of the OpenSSL in the process, which uses the instructions that the processor has for them.
 *
 * The structures are opaque and copied by value, so that a salt is hashed once. Source: OpenSSL 3.0
 * include/openssl/sha.h; test/openssl/prototypes.cc compares sizes and prototypes.
 */
#pragma once

#include <array>
#include <cstddef>

namespace parentfs::verity {

struct Sha2 {
  int (*SHA256_Init)(void* context);
  int (*SHA256_Update)(void* context, const void* bytes, std::size_t length);
  int (*SHA256_Final)(unsigned char* digest, void* context);
  int (*SHA512_Init)(void* context);
  int (*SHA512_Update)(void* context, const void* bytes, std::size_t length);
  int (*SHA512_Final)(unsigned char* digest, void* context);
};

inline constexpr std::size_t sha256_context_bytes = 112;
inline constexpr std::size_t sha512_context_bytes = 216;

/** Room for the larger structure. */
struct Sha2Context {
  alignas(16) std::array<std::byte, 256> bytes;
};

/** @returns null where the process has no OpenSSL with these functions */
const Sha2* sha2();

}  // namespace parentfs::verity
