// Products of float32 matrices on the matrix units of x86 processors (AMX), which multiply bfloat16 and add in float32.
//
// A number is split into two of bfloat16, high and low, which leaves out 2^-16 of it or less; then
// (high + low) (high' + low') is three products, the fourth being as small as what was left out. Operands are packed
// into tiles on the way: 16 rows of 32 numbers on the left, and on the right 16 columns of 32, interleaved by pairs.
// Products are made two by two tiles at a time.

#include "x86.h"

#include <cstdint>

namespace {

constexpr long DEPTH = 32;
// Tiles of all operands that a product holds at once: a quarter of the second level cache.
constexpr long AT_ONCE = 512;

struct alignas(64) Tile {
  __m512i row[SIDE];
};
struct SplitTile {
  Tile high, low;
};

void begin() {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t bytes_per_row[16] = {};
    uint8_t rows[16] = {};
  } config;
  for (int tile = 0; tile < 8; ++tile) {
    config.bytes_per_row[tile] = sizeof(__m512i);
    config.rows[tile] = SIDE;
  }
  _tile_loadconfig(&config);
}

void end() { _tile_release(); }

// 16 numbers rounded to bfloat16, each in the lower half of 32 bits, and back.
__m512i rounded(__m512 x) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x)); }
__m512 value(__m512i halves) { return _mm512_castsi512_ps(_mm512_slli_epi32(halves, 16)); }
__m512i paired(__m512i even, __m512i odd) { return _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)); }

void pack_left(const float* x, long stride, __m512 scale, SplitTile& out) {
  for (long i = 0; i < SIDE; ++i) {
    const __m512 a = _mm512_mul_ps(scale, _mm512_loadu_ps(x + i * stride));
    const __m512 b = _mm512_mul_ps(scale, _mm512_loadu_ps(x + i * stride + SIDE));
    const __m512i high = (__m512i)_mm512_cvtne2ps_pbh(b, a);
    const __m512 a_high = value(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(high)));
    const __m512 b_high = value(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(high, 1)));
    out.high.row[i] = high;
    out.low.row[i] = (__m512i)_mm512_cvtne2ps_pbh(_mm512_sub_ps(b, b_high), _mm512_sub_ps(a, a_high));
  }
}

void pack_right(const float* x, long stride, SplitTile& out) {
  for (long pair = 0; pair < SIDE; ++pair, x += 2 * stride) {
    const __m512 even = _mm512_loadu_ps(x), odd = _mm512_loadu_ps(x + stride);
    const __m512i even_high = rounded(even), odd_high = rounded(odd);
    const __m512 even_low = _mm512_sub_ps(even, value(even_high)), odd_low = _mm512_sub_ps(odd, value(odd_high));
    out.high.row[pair] = paired(even_high, odd_high);
    out.low.row[pair] = paired(rounded(even_low), rounded(odd_low));
  }
}

// The unit's tiles 0 to 3 hold two by two of the product, 4 and 5 a pair of the left's, 6 and 7 one of the right's.
struct Accumulators {
  float* at;
  long stride;
  float* below() const { return at + SIDE * stride; }
  void load() const {
    _tile_loadd(0, at, 4 * stride);
    _tile_loadd(1, at + SIDE, 4 * stride);
    _tile_loadd(2, below(), 4 * stride);
    _tile_loadd(3, below() + SIDE, 4 * stride);
  }
  void store() const {
    _tile_stored(0, at, 4 * stride);
    _tile_stored(1, at + SIDE, 4 * stride);
    _tile_stored(2, below(), 4 * stride);
    _tile_stored(3, below() + SIDE, 4 * stride);
  }
  void scale(float factor) const {
    for (long i = 0; i < 2 * SIDE; ++i) {
      float* row = at + i * stride;
      for (long j = 0; j < 2 * SIDE; ++j) row[j] *= factor;
    }
  }
};

void load_zeros() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

void multiply_tiles() {
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

// A pair of rows of tiles times a pair of columns of them; the second of each pair lies `next` after the first.
void multiply(const SplitTile* left, long next_left, const SplitTile* right, long next_right, long n_tiles) {
  constexpr long BYTES = sizeof(__m512i);
  for (long k = 0; k < n_tiles; ++k, ++left, ++right) {
    _tile_loadd(4, &left->low, BYTES);
    _tile_loadd(5, &left[next_left].low, BYTES);
    _tile_loadd(6, &right->high, BYTES);
    _tile_loadd(7, &right[next_right].high, BYTES);
    multiply_tiles();
    _tile_loadd(4, &left->high, BYTES);
    _tile_loadd(5, &left[next_left].high, BYTES);
    multiply_tiles();
    _tile_loadd(6, &right->low, BYTES);
    _tile_loadd(7, &right[next_right].low, BYTES);
    multiply_tiles();
  }
}

// The rows of a matrix of m columns, some of their tiles.
void pack_rows(const float* x, long m, long rows, long start, long tiles, SplitTile* out) {
  for (long i = 0; i < rows; ++i) {
    for (long k = 0; k < tiles; ++k) {
      pack_left(x + i * SIDE * m + (start + k) * DEPTH, m, _mm512_set1_ps(1), out[i * tiles + k]);
    }
  }
}

void nt_one(const float* x, const float* y, float* out, long n_x, long n_y, long m) {
  const bool symmetric = x == y;
  const long rows = n_x / SIDE, columns = n_y / SIDE;
  const long at_once = std::max(1L, AT_ONCE / (2 * (rows + columns)));
  SplitTile* left = workspace<SplitTile>((rows + columns) * at_once);
  SplitTile* right = left + rows * at_once;
  for (long start = 0; start < m / DEPTH; start += at_once) {
    const long tiles = std::min(at_once, m / DEPTH - start);
    pack_rows(x, m, rows, start, tiles, left);
    if (symmetric) {
      std::copy(left, left + rows * tiles, right);
    } else {
      pack_rows(y, m, columns, start, tiles, right);
    }
    for (long k = 0; k < columns * tiles; ++k) {
      transpose(right[k].high.row);
      transpose(right[k].low.row);
    }
    for (long i = 0; i < rows; i += 2) {
      for (long j = symmetric ? i : 0; j < columns; j += 2) {
        const Accumulators sums{out + i * SIDE * n_y + j * SIDE, n_y};
        if (start == 0) {
          load_zeros();
        } else {
          sums.load();
        }
        multiply(left + i * tiles, tiles, right + j * tiles, tiles, tiles);
        sums.store();
      }
    }
  }
  if (symmetric) mirror(out, n_y);
}

void nn_one(const float* x, const float* y, float* out, long n_x, long n, long m, float beta, float alpha) {
  const long rows = n_x / SIDE, tiles = n / DEPTH;
  SplitTile* left = workspace<SplitTile>(rows * tiles + 2 * tiles);
  SplitTile* right = left + rows * tiles;
  for (long i = 0; i < rows; ++i) {
    for (long k = 0; k < tiles; ++k) {
      pack_left(x + i * SIDE * n + k * DEPTH, n, _mm512_set1_ps(alpha), left[i * tiles + k]);
    }
  }
  for (long j = 0; j < m; j += 2 * SIDE) {
    for (long k = 0; k < tiles; ++k) {
      pack_right(y + k * DEPTH * m + j, m, right[k]);
      pack_right(y + k * DEPTH * m + j + SIDE, m, right[tiles + k]);
    }
    for (long i = 0; i < rows; i += 2) {
      const Accumulators sums{out + i * SIDE * m + j, m};
      if (beta == 0) {
        load_zeros();
      } else {
        sums.scale(beta);
        sums.load();
      }
      multiply(left + i * tiles, tiles, right, tiles, tiles);
      sums.store();
    }
  }
}

}  // namespace
