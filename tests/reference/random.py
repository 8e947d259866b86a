"""Keyed random bits, in Python's integers."""

FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
GOLDEN = 0x9E3779B97F4A7C15


def splitmix64(key, count):
    """The first numbers of 64 bits that belong to a key."""
    return [splitmix64_mix((key + at * GOLDEN) % 2**64) for at in range(1, count + 1)]


def splitmix64_mix(z):
    z = (z ^ (z >> 30)) * FIRST % 2**64
    z = (z ^ (z >> 27)) * SECOND % 2**64
    return z ^ (z >> 31)


def splitmix64_unmix(z):
    """The number that is mixed into the given one."""
    z = unshift(z, 31) * pow(SECOND, -1, 2**64) % 2**64
    z = unshift(z, 27) * pow(FIRST, -1, 2**64) % 2**64
    return unshift(z, 30)


def unshift(z, shift):
    """The number x of x ^ (x >> shift) = z."""
    x = z
    for _ in range(64 // shift):
        x = z ^ (x >> shift)
    return x


def key_that_draws(bits):
    """The key whose first number is the given one, as a signed integer."""
    return signed((splitmix64_unmix(bits % 2**64) - GOLDEN) % 2**64)


def signed(bits):
    return bits - 2**64 if bits >= 2**63 else bits
