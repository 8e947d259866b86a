// Random bits of keys by splitmix64, and Bernoulli draws from them, in one pass over memory.

#include <algorithm>
#include <cstdint>

// Numbers of 64 bits that stay in the first-level cache until they are compared.
constexpr long AT_ONCE = 256;

static void bits_of(uint64_t key, long first, long count, uint64_t* out) {
  for (long at = 0; at < count; ++at) {
    uint64_t z = key + static_cast<uint64_t>(first + at + 1) * 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    out[at] = z ^ (z >> 31);
  }
}

extern "C" void random_bits(const uint64_t* keys, long n_keys, long count, uint64_t* out) {
  for (long k = 0; k < n_keys; ++k) bits_of(keys[k], 0, count, out + k * count);
}

// Half of a number of 64 bits, read in place.
typedef int32_t __attribute__((may_alias)) half_t;

static void compare(const half_t* __restrict halves, const int32_t* __restrict limit, long count,
                    uint8_t* __restrict out) {
  for (long i = 0; i < count; ++i) out[i] = (halves[i] & 0x7fffffff) <= limit[i];
}

// Whether the lower 31 bits of each half are at most a limit. Limits come in rows: keys take turns between the rows, and
// a row is repeated along the draws of a key.
extern "C" void bernoulli(const uint64_t* keys, long n_keys, long count, const int32_t* limits, long n_rows, long period,
                       uint8_t* out) {
  uint64_t drawn[AT_ONCE];
  const half_t* halves = reinterpret_cast<const half_t*>(drawn);
  for (long k = 0; k < n_keys; ++k, out += count) {
    const int32_t* limit = limits + k % n_rows * period;
    for (long start = 0; start < count; start += 2 * AT_ONCE) {
      long end = std::min(start + 2 * AT_ONCE, count);
      bits_of(keys[k], start / 2, (end - start + 1) / 2, drawn);
      for (long at = start; at < end;) {
        long column = at % period, some = std::min(period - column, end - at);
        compare(halves + at - start, limit + column, some, out + at);
        at += some;
      }
    }
  }
}
