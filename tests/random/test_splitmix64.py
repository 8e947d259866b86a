import pytest
import torch

from polysemantic.random.splitmix64 import (
    kernel_pays,
    library_for,
    random_bits,
    random_bits_by_kernel,
    random_bits_by_torch,
)
from tests import reference
from tests.support.random import LIBRARIES, keys_of

KNOWN = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]


def test_the_oracle_gives_the_published_numbers():
    assert reference.splitmix64(1234567, 5) == KNOWN


@pytest.mark.parametrize("count", [1, 5, 2000])
@pytest.mark.parametrize("key", [1234567, 0, -1, 2**63 - 1, -(2**63)])
def test_torch_makes_the_numbers_of_the_oracle(key, count):
    made = random_bits_by_torch(torch.tensor([key]), count)[0].tolist()
    assert made == list(map(reference.signed, reference.splitmix64(key % 2**64, count)))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("count", [1, 5, 2000])
def test_the_kernel_and_torch_make_the_same_bits(count, library):
    keys = keys_of(5, 3, 2**40, 3, -1, steps=range(7, 16)).values
    # Keys of some steps need not lie one after the other.
    for some in (keys, keys[::2], keys[4]):
        assert torch.equal(random_bits_by_kernel(some, count, library), random_bits_by_torch(some, count))


@pytest.mark.parametrize(
    ("n_numbers", "n_threads", "avx512", "pays"),
    [
        (2**15, 1, False, True),
        (2**15 - 1, 1, False, False),
        (2**15 - 1, 1, True, False),
        (2**30, 4, False, True),
        (2**30, 5, False, False),
        (2**30, 20, True, True),
        (2**30, 21, True, False),
    ],
)
def test_the_kernel_makes_many_numbers_where_torch_has_few_threads(n_numbers, n_threads, avx512, pays):
    assert kernel_pays(n_numbers, n_threads, avx512=avx512) == pays


def test_few_numbers_and_other_devices_are_left_to_torch():
    assert library_for(torch.zeros(1, dtype=torch.int64), 2**15 - 1) is None
    elsewhere = torch.zeros(1, dtype=torch.int64, device="meta")
    assert library_for(elsewhere, 2**16) is None
    assert random_bits(elsewhere, 2**16).device.type == "meta"


@pytest.mark.parametrize("count", [4, 2**15])
def test_either_way_gives_the_same_bits(count):
    keys = keys_of(5, 3).values
    assert torch.equal(random_bits(keys, count), random_bits_by_torch(keys, count))


@pytest.mark.parametrize("bits", [0, 1, -1, 2**63 - 1, -(2**63), 1234567])
def test_the_oracle_knows_the_key_of_any_first_number(bits):
    assert random_bits(torch.tensor([reference.key_that_draws(bits)]), 1).item() == bits
