// What sources of products for x86 processors share. A source includes this first and defines, for one instance, what
// is declared here. Sizes must be multiples of 32.

#include <immintrin.h>

#include <algorithm>
#include <vector>

namespace {

// Numbers of a register.
constexpr long SIDE = 16;

// Before the first instance and after the last.
void begin();
void end();
// x y^T, with rows of m numbers in both; half of it, and the other half by `mirror`, if x is y.
void nt_one(const float* x, const float* y, float* out, long n_x, long n_y, long m);
// alpha x y + beta out, written to out, with x of n_x rows of n numbers and y of n rows of m.
void nn_one(const float* x, const float* y, float* out, long n_x, long n, long m, float beta, float alpha);

// Memory of a thread, which grows and is kept.
template <typename Unit>
Unit* workspace(long count) {
  thread_local std::vector<Unit> kept;
  if (static_cast<long>(kept.size()) < count) kept.resize(count);
  return kept.data();
}

// Entries of 32 bits: of single numbers, or of pairs, which turns a tile of the left into one of its transpose.
void transpose(__m512i x[SIDE]) {
  __m512i y[SIDE];
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int half = 0; half < 2; ++half) {
      x[i + 2 * half] = _mm512_unpacklo_epi64(y[i + half], y[i + half + 2]);
      x[i + 2 * half + 1] = _mm512_unpackhi_epi64(y[i + half], y[i + half + 2]);
    }
  }
  for (int i = 0; i < 4; ++i) {
    for (int half = 0; half < 16; half += 8) {
      y[half + i] = _mm512_shuffle_i32x4(x[half + i], x[half + i + 4], 0x88);
      y[half + i + 4] = _mm512_shuffle_i32x4(x[half + i], x[half + i + 4], 0xdd);
    }
  }
  for (int i = 0; i < 8; ++i) {
    x[i] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0x88);
    x[i + 8] = _mm512_shuffle_i32x4(y[i], y[i + 8], 0xdd);
  }
}

// 16 by 16 numbers from rows of one width to columns of another.
void transposed(const float* from, long width, float* to, long new_width) {
  __m512i x[SIDE];
  for (long k = 0; k < SIDE; ++k) x[k] = _mm512_loadu_si512(from + k * width);
  transpose(x);
  for (long k = 0; k < SIDE; ++k) _mm512_storeu_si512(to + k * new_width, x[k]);
}

void mirror(float* out, long n) {
  for (long i = 0; i < n; i += SIDE) {
    for (long j = i + SIDE; j < n; j += SIDE) transposed(out + i * n + j, n, out + j * n + i, n);
  }
}

}  // namespace

extern "C" {

void nt(const float* x, const float* y, float* out, long instances, long n_x, long n_y, long m) {
  begin();
  for (long at = 0; at < instances; ++at) {
    nt_one(x + at * n_x * m, y + at * n_y * m, out + at * n_x * n_y, n_x, n_y, m);
  }
  end();
}

void nn(const float* x, const float* y, float* out, long instances, long n_x, long n, long m, float beta,
           float alpha) {
  begin();
  for (long at = 0; at < instances; ++at) {
    nn_one(x + at * n_x * n, y + at * n * m, out + at * n_x * m, n_x, n, m, beta, alpha);
  }
  end();
}
}
