/** SHA-256 by AVX-512 and by SHA-NI. */
#include "verity/sha256-lanes.h"

#include <array>

#if defined(__x86_64__)
#if !defined(__clang__)
// The compiler's own header has registers of which any content will do. Source: GCC bug 105593.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#endif

namespace parentfs::verity {

#if defined(__x86_64__)

namespace {

/** Source: FIPS 180-4, 4.2.2. */
alignas(64) constexpr std::uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/** Words stay in registers when all rounds are written out. */
#if defined(__clang__)
#define UNROLLED
#else
#define UNROLLED _Pragma("GCC unroll 64")
#endif

#define WITH_AVX512 __attribute__((target("avx512f,avx512bw")))

/** Sixteen rows of sixteen words become sixteen columns. */
WITH_AVX512 void transpose(__m512i* rows) {
  __m512i mixed[16];
  UNROLLED for (int k = 0; k < 8; k++) {
    mixed[2 * k] = _mm512_unpacklo_epi32(rows[2 * k], rows[2 * k + 1]);
    mixed[2 * k + 1] = _mm512_unpackhi_epi32(rows[2 * k], rows[2 * k + 1]);
  }
  UNROLLED for (int k = 0; k < 16; k += 4) {
    rows[k] = _mm512_unpacklo_epi64(mixed[k], mixed[k + 2]);
    rows[k + 1] = _mm512_unpackhi_epi64(mixed[k], mixed[k + 2]);
    rows[k + 2] = _mm512_unpacklo_epi64(mixed[k + 1], mixed[k + 3]);
    rows[k + 3] = _mm512_unpackhi_epi64(mixed[k + 1], mixed[k + 3]);
  }
  UNROLLED for (int k = 0; k < 4; k++) {
    const __m512i low = _mm512_shuffle_i32x4(rows[k], rows[4 + k], 0x88);
    const __m512i high = _mm512_shuffle_i32x4(rows[k], rows[4 + k], 0xdd);
    const __m512i low_behind = _mm512_shuffle_i32x4(rows[8 + k], rows[12 + k], 0x88);
    const __m512i high_behind = _mm512_shuffle_i32x4(rows[8 + k], rows[12 + k], 0xdd);
    rows[k] = _mm512_shuffle_i32x4(low, low_behind, 0x88);
    rows[8 + k] = _mm512_shuffle_i32x4(low, low_behind, 0xdd);
    rows[4 + k] = _mm512_shuffle_i32x4(high, high_behind, 0x88);
    rows[12 + k] = _mm512_shuffle_i32x4(high, high_behind, 0xdd);
  }
}

/** The exclusive or of three words; the choice and the majority of SHA-2. Each is a table of eight bits. */
constexpr int parity = 0x96;
constexpr int choice = 0xca;
constexpr int majority = 0xe8;

WITH_AVX512 void compress_avx512(std::uint32_t* states, const std::byte* const* at, std::size_t chunks) {
  const __m512i big_endian = _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
  __m512i state[sha256_words];
  UNROLLED for (std::size_t k = 0; k < sha256_words; k++) state[k] = _mm512_loadu_si512(states + k * 16);
  for (std::size_t chunk = 0; chunk < chunks; chunk++) {
    __m512i words[16];
    UNROLLED for (std::size_t lane = 0; lane < 16; lane++) {
      const __m512i bytes = _mm512_loadu_si512(at[lane] + chunk * sha256_chunk_bytes);
      words[lane] = _mm512_shuffle_epi8(bytes, big_endian);
    }
    transpose(words);
    auto [a, b, c, d, e, f, g, h] = state;
    UNROLLED for (int round = 0; round < 64; round++) {
      if (round >= 16) {
        const __m512i early = words[(round - 15) & 15];
        const __m512i late = words[(round - 2) & 15];
        const __m512i sigma0 = _mm512_ternarylogic_epi32(_mm512_ror_epi32(early, 7), _mm512_ror_epi32(early, 18),
                                                         _mm512_srli_epi32(early, 3), parity);
        const __m512i sigma1 = _mm512_ternarylogic_epi32(_mm512_ror_epi32(late, 17), _mm512_ror_epi32(late, 19),
                                                         _mm512_srli_epi32(late, 10), parity);
        words[round & 15] = _mm512_add_epi32(_mm512_add_epi32(words[round & 15], sigma0),
                                             _mm512_add_epi32(words[(round - 7) & 15], sigma1));
      }
      const __m512i constant = _mm512_set1_epi32(static_cast<int>(round_constants[round]));
      const __m512i sum1 = _mm512_ternarylogic_epi32(_mm512_ror_epi32(e, 6), _mm512_ror_epi32(e, 11),
                                                     _mm512_ror_epi32(e, 25), parity);
      const __m512i sum0 = _mm512_ternarylogic_epi32(_mm512_ror_epi32(a, 2), _mm512_ror_epi32(a, 13),
                                                     _mm512_ror_epi32(a, 22), parity);
      const __m512i first = _mm512_add_epi32(_mm512_add_epi32(h, _mm512_add_epi32(words[round & 15], constant)),
                                             _mm512_add_epi32(sum1, _mm512_ternarylogic_epi32(e, f, g, choice)));
      const __m512i second = _mm512_add_epi32(sum0, _mm512_ternarylogic_epi32(a, b, c, majority));
      h = g;
      g = f;
      f = e;
      e = _mm512_add_epi32(d, first);
      d = c;
      c = b;
      b = a;
      a = _mm512_add_epi32(first, second);
    }
    const __m512i added[sha256_words] = {a, b, c, d, e, f, g, h};
    UNROLLED for (std::size_t k = 0; k < sha256_words; k++) state[k] = _mm512_add_epi32(state[k], added[k]);
  }
  UNROLLED for (std::size_t k = 0; k < sha256_words; k++) _mm512_storeu_si512(states + k * 16, state[k]);
}

#define WITH_SHA_NI __attribute__((target("sha,sse4.1")))

/** The instructions have latencies of four and more cycles, and two lanes fill them. */
constexpr std::size_t pair = 2;

/** Source: Intel SHA Extensions, sha256rnds2: a state lies in two registers, as ABEF and CDGH. */
WITH_SHA_NI void compress_sha_ni(std::uint32_t* states, const std::byte* const* at, std::size_t chunks) {
  const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  __m128i abef[pair];
  __m128i cdgh[pair];
  for (std::size_t lane = 0; lane < pair; lane++) {
    const auto word = [&](std::size_t k) { return static_cast<int>(states[k * pair + lane]); };
    abef[lane] = _mm_set_epi32(word(0), word(1), word(4), word(5));
    cdgh[lane] = _mm_set_epi32(word(2), word(3), word(6), word(7));
  }
  for (std::size_t chunk = 0; chunk < chunks; chunk++) {
    __m128i words[pair][4];
    __m128i first[pair];
    __m128i second[pair];
    UNROLLED for (std::size_t lane = 0; lane < pair; lane++) {
      first[lane] = abef[lane];
      second[lane] = cdgh[lane];
      const auto* bytes = reinterpret_cast<const __m128i*>(at[lane] + chunk * sha256_chunk_bytes);
      UNROLLED for (int k = 0; k < 4; k++) words[lane][k] = _mm_shuffle_epi8(_mm_loadu_si128(bytes + k), big_endian);
    }
    UNROLLED for (int step = 0; step < 16; step++) {
      const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(round_constants) + step);
      UNROLLED for (std::size_t lane = 0; lane < pair; lane++) {
        __m128i& now = words[lane][step & 3];
        const __m128i sum = _mm_add_epi32(now, constants);
        second[lane] = _mm_sha256rnds2_epu32(second[lane], first[lane], sum);
        first[lane] = _mm_sha256rnds2_epu32(first[lane], second[lane], _mm_shuffle_epi32(sum, 0x0e));
        if (step >= 12) continue;
        const __m128i next = words[lane][(step + 1) & 3];
        const __m128i third = words[lane][(step + 2) & 3];
        const __m128i last = words[lane][(step + 3) & 3];
        const __m128i mixed = _mm_add_epi32(_mm_sha256msg1_epu32(now, next), _mm_alignr_epi8(last, third, 4));
        now = _mm_sha256msg2_epu32(mixed, last);
      }
    }
    UNROLLED for (std::size_t lane = 0; lane < pair; lane++) {
      abef[lane] = _mm_add_epi32(abef[lane], first[lane]);
      cdgh[lane] = _mm_add_epi32(cdgh[lane], second[lane]);
    }
  }
  for (std::size_t lane = 0; lane < pair; lane++) {
    alignas(16) std::uint32_t low[4];
    alignas(16) std::uint32_t high[4];
    _mm_store_si128(reinterpret_cast<__m128i*>(low), abef[lane]);
    _mm_store_si128(reinterpret_cast<__m128i*>(high), cdgh[lane]);
    const std::uint32_t made[sha256_words] = {low[3], low[2], high[3], high[2], low[1], low[0], high[1], high[0]};
    for (std::size_t k = 0; k < sha256_words; k++) states[k * pair + lane] = made[k];
  }
}

/** Leaf 7 of CPUID; older compilers know the name "sha" in targets alone. */
bool has_sha_ni() {
  unsigned leaf = 7;
  unsigned subleaf = 0;
  unsigned features = 0;
  unsigned others = 0;
  __asm__("cpuid" : "+a"(leaf), "=b"(features), "+c"(subleaf), "=d"(others));
  return ((features >> 29) & 1) != 0 && __builtin_cpu_supports("sse4.1") != 0;
}

struct Kernels {
  std::array<LaneKernel, 2> all{};
  std::size_t count = 0;
};

Kernels find_kernels() {
  Kernels found;
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0) {
    found.all[found.count++] = {.name = "avx512", .lanes = 16, .compress = compress_avx512};
  }
  if (has_sha_ni()) found.all[found.count++] = {.name = "sha_ni", .lanes = pair, .compress = compress_sha_ni};
  return found;
}

}  // namespace

std::span<const LaneKernel> lane_kernels() {
  static const Kernels found = find_kernels();
  return {found.all.data(), found.count};
}

#else

std::span<const LaneKernel> lane_kernels() { return {}; }

#endif

}  // namespace parentfs::verity
