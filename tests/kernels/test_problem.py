import pytest
import torch

from polysemantic.kernels.problem import Problem, library_uses_avx512, this_processor


@pytest.mark.parametrize(
    ("capability", "vendor", "expected"),
    [
        ("AVX2", "GenuineIntel", False),
        ("AVX512", "GenuineIntel", True),
        ("AVX512_SPR", "GenuineIntel", True),
        ("AVX512", "AuthenticAMD", False),
        ("AVX512", "", True),
    ],
)
def test_the_library_uses_wide_registers_on_intel_alone(capability, vendor, expected):
    assert library_uses_avx512(capability, vendor) == expected


def test_sizes_count_inputs_of_every_feature_once_as_many_as_there_are_features():
    assert Problem(3, 8, 16).multiplications == 8 * 8 * 16 == Problem(3, 8, 16, 8).multiplications
    assert Problem(3, 8, 16, 5).gram_multiplications == 8 * 8 * 16
    assert Problem(3, 8, 16).is_small
    assert Problem(3, 256, 32).is_large
    assert not Problem(3, 64, 32).is_small
    assert not Problem(3, 64, 32).is_large


def test_this_processor_is_looked_at_once():
    assert this_processor(torch.device("cpu")) is this_processor(torch.device("cpu"))
    assert not this_processor(torch.device("cpu")).tensor_cores
