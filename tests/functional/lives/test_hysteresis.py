import torch

from polysemantic.functional import hysteresis


def test_hysteresis_with_equal_thresholds_forgets():
    w = torch.randn(2, 3, 4)
    on = torch.rand(2, 3, 4) < 0.5
    assert torch.equal(hysteresis(on, w, born=0.5, ended=0.5), w.abs() >= 0.5)
