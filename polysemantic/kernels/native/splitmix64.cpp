// Random bits of keys by splitmix64, in one pass over memory.

#include <cstdint>

extern "C" void random_bits(const uint64_t* keys, long n_keys, long count, uint64_t* out) {
  for (long k = 0; k < n_keys; ++k, out += count) {
    for (long at = 0; at < count; ++at) {
      uint64_t z = keys[k] + static_cast<uint64_t>(at + 1) * 0x9E3779B97F4A7C15;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
      out[at] = z ^ (z >> 31);
    }
  }
}
