// Products of float32 matrices in registers of 512 bits, for processors on which torch's library takes half as wide ones.
//
// A tile of 8 by 32 of the product stays in registers while its sums are made. On the right it takes 32 columns, copied
// side by side, a slice of which stays in the first level cache; on the left a number at a time.

#include "x86.h"

namespace {

constexpr long ROWS = 8, COLUMNS = 2 * SIDE;
// Numbers that are summed in registers before their sum goes to memory.
constexpr long SLICE = 256;

struct alignas(64) Row {
  float number[COLUMNS];
};

void begin() {}
void end() {}

// Asks for a row of a tile, or of a strip, which lies far from the one before and so is not foreseen.
void fetch(const float* row) {
  _mm_prefetch(row, _MM_HINT_T0);
  _mm_prefetch(row + SIDE, _MM_HINT_T0);
}

// A matrix, or its transpose: how far apart its rows and its columns are.
struct Left {
  const float* at;
  long next_row, next_column;
  Left from(long row, long column) const { return {at + row * next_row + column * next_column, next_row, next_column}; }
};

// beta out + alpha left right for one tile.
void multiply(Left left, const Row* right, long depth, float* out, long stride, float beta, float alpha) {
  __m512 sum[ROWS][2];
  for (long i = 0; i < ROWS; ++i) {
    fetch(out + i * stride);
    sum[i][0] = sum[i][1] = _mm512_setzero_ps();
  }
  for (long k = 0; k < depth; ++k, left.at += left.next_column, ++right) {
    const __m512 near = _mm512_load_ps(right->number), far = _mm512_load_ps(right->number + SIDE);
#pragma GCC unroll 8
    for (long i = 0; i < ROWS; ++i) {
      const __m512 x = _mm512_set1_ps(left.at[i * left.next_row]);
      sum[i][0] = _mm512_fmadd_ps(x, near, sum[i][0]);
      sum[i][1] = _mm512_fmadd_ps(x, far, sum[i][1]);
    }
  }
#pragma GCC unroll 8
  for (long i = 0; i < ROWS; ++i) {
    for (long half = 0; half < 2; ++half) {
      float* at = out + i * stride + half * SIDE;
      __m512 total = _mm512_mul_ps(_mm512_set1_ps(alpha), sum[i][half]);
      if (beta != 0) total = _mm512_fmadd_ps(_mm512_set1_ps(beta), _mm512_loadu_ps(at), total);
      _mm512_storeu_ps(at, total);
    }
  }
}

// Some numbers of each row of a matrix, 32 rows side by side.
void transpose_rows(const float* x, long n, long m, long depth, Row* out) {
  for (long start = 0; start < n; start += COLUMNS, out += depth) {
    for (long k = 0; k < depth; k += SIDE) {
      transposed(x + start * m + k, m, out[k].number, COLUMNS);
      transposed(x + (start + SIDE) * m + k, m, out[k].number + SIDE, COLUMNS);
    }
  }
}

void nt_one(const float* x, const float* y, float* out, long n_x, long n_y, long m) {
  const bool symmetric = x == y;
  Row* right = workspace<Row>((n_x + n_y) / COLUMNS * SLICE);
  Row* left = symmetric ? right : right + n_y / COLUMNS * SLICE;
  for (long start = 0; start < m; start += SLICE) {
    const long depth = std::min(SLICE, m - start);
    transpose_rows(y + start, n_y, m, depth, right);
    if (!symmetric) transpose_rows(x + start, n_x, m, depth, left);
    for (long j = 0; j < n_y; j += COLUMNS) {
      for (long i = 0; i < (symmetric ? j + COLUMNS : n_x); i += ROWS) {
        const Left rows{left[i / COLUMNS * depth].number + i % COLUMNS, 1, COLUMNS};
        multiply(rows, right + j / COLUMNS * depth, depth, out + i * n_y + j, n_y, start != 0, 1);
      }
    }
  }
  if (symmetric) mirror(out, n_y);
}

// alpha S W + beta out, written to out, for some rows of S and as many of W, of m numbers, as S has columns.
void left_times(Left S, const float* W, float* out, long rows, long n, long m, float beta, float alpha) {
  Row* right = workspace<Row>(SLICE);
  for (long j = 0; j < m; j += COLUMNS) {
    const long next = std::min(j + COLUMNS, m - COLUMNS);
    for (long start = 0; start < n; start += SLICE) {
      const long depth = std::min(SLICE, n - start);
      for (long k = 0; k < depth; ++k) std::copy_n(W + (start + k) * m + j, COLUMNS, right[k].number);
      for (long i = 0; i < rows; i += ROWS) {
        for (long k = i; k < std::min(i + ROWS, n); ++k) fetch(W + k * m + next);
        multiply(S.from(i, start), right, depth, out + i * m + j, m, start == 0 ? beta : 1, alpha);
      }
    }
  }
}

void nn_one(const float* x, const float* y, float* out, long n_x, long n, long m, float beta, float alpha) {
  left_times({x, n, 1}, y, out, n_x, n, m, beta, alpha);
}

}  // namespace

extern "C" {

// For each instance alpha x^T y + beta out, with x of n_x rows of n numbers, and y of as many of m.
void tn(const float* x, const float* y, float* out, long instances, long n_x, long n, long m, float beta,
                      float alpha) {
  for (long at = 0; at < instances; ++at) {
    left_times({x + at * n_x * n, 1, n}, y + at * n_x * m, out + at * n * m, n, n_x, m, beta, alpha);
  }
}
}
