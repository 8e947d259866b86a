from __future__ import annotations

import math

import pytest
import torch

from polysemantic.metrics import Coverage, InstanceMetric
from polysemantic.metrics.agreement import check_metrics, check_values, update_metric, value_of
from polysemantic.validation.user_classes import UserClassError


class Largest(InstanceMetric):
    """A user's metric."""

    range = (0, 2)

    def update(self, W_enc):
        self.add(W_enc.abs().amax((-2, -1)))


def given():
    return {"W_enc": torch.tensor([[[1.0, -0.5]], [[0.25, 0.0]], [[torch.nan, 1.0]]])}


def changed(**methods):
    return type("Changed", (Largest,), methods)()


def measure(metric):
    update_metric(metric, given(), 3)
    return value_of(metric, 3)


def test_a_right_metric_is_updated_and_gives_its_values():
    metric = Largest()
    values = measure(metric)
    assert values[:2].tolist() == [1, 0.25]
    check_values(metric, values, trained=False)


@pytest.mark.parametrize(
    "write",
    [
        lambda W: W.mul_(2),
        lambda W: W.data.mul_(2),
        lambda W: W.numpy().__imul__(2),
        lambda W: W[0, 0, :1].fill_(3),
    ],
    ids=["in place", "into the data", "by numpy", "one number"],
)
@pytest.mark.parametrize("inference", [False, True])
def test_a_metric_that_writes_is_named_with_what_it_wrote_into(write, inference):
    def update(self, W_enc):
        write(W_enc)
        self.add(torch.zeros(len(W_enc)))

    with (
        torch.inference_mode(inference),
        pytest.raises(UserClassError, match=r"^`metrics` must leave .* as it is, got W_enc changed by Changed\.$"),
    ):
        update_metric(changed(update=update), given(), 3)


def test_a_metric_that_only_reads_numbers_that_are_nan_has_written_nothing():
    with torch.inference_mode():
        update_metric(Largest(), given(), 3)


class Hasty(Largest):
    def update(self, W_enc):
        raise KeyError("W_other")


class Late(Largest):
    def compute(self):
        raise KeyError("W_other")


@pytest.mark.parametrize(("kind", "method"), [(Hasty, "update"), (Late, "compute")])
def test_an_error_in_a_metric_names_the_metric_and_the_line(kind, method):
    number = vars(kind)[method].__code__.co_firstlineno + 1
    line = rf"^`{kind.__name__}.{method}` must run .*, got KeyError: 'W_other' \(test_agreement.py, line {number}\)\.$"
    with pytest.raises(UserClassError, match=line):
        measure(kind())


@pytest.mark.parametrize(
    ("compute", "got"),
    [
        (lambda self: self.total.sum(), r"torch\.float64 of shape \(1,\)"),
        (lambda self: self.total[:-1], r"torch\.float64 of shape \(2,\)"),
        (lambda self: self.total + 0j, r"torch\.complex128 of shape \(3,\)"),
        (lambda self: [0.0, 0.0, 0.0], "list"),
        (lambda self: {"value": self.total}, "dict"),
        (lambda self: None, "NoneType"),
        (lambda self: 1.0, "float"),
    ],
)
def test_a_metric_gives_one_real_number_for_each_instance(compute, got):
    metric = changed(compute=compute)
    update_metric(metric, given(), 3)
    with pytest.raises(UserClassError, match=rf"^`Changed.compute` must give one real .* 3 instances, got {got}\.$"):
        value_of(metric, 3)


def test_whole_numbers_and_float32_are_real_numbers():
    for dtype in (torch.int64, torch.bool, torch.float32):
        metric = changed(compute=lambda self, dtype=dtype: torch.ones(3, dtype=dtype))
        assert measure(metric).tolist() == [1, 1, 1]


WRONG = {
    "infinite": ([1, math.inf, 1], False, "be finite, or nan where it does not apply", "inf for instance 1"),
    "above": ([1, 1, 2.1], False, r"lie in its `range`, \[0, 2\]", "2.1 for instance 2"),
    "below": ([-0.1, 1, 1], False, r"lie in its `range`, \[0, 2\]", "-0.1 for instance 0"),
    "no count": ([1, math.nan, 0.5], True, "be whole, as `count_valued` says", "0.5 for instance 2"),
}


@pytest.mark.parametrize(("values", "counts", "rule", "got"), WRONG.values(), ids=WRONG)
def test_values_that_a_class_does_not_declare_are_refused_at_first_and_told_later(values, counts, rule, got):
    metric, values = changed(count_valued=counts), torch.tensor(values).double()
    with pytest.raises(UserClassError, match=f"^`Changed` must {rule}, got {got}\\.$"):
        check_values(metric, values, trained=False)
    with pytest.warns(UserWarning, match=f"^`Changed` must {rule}; some values during training do not"):
        check_values(metric, values, trained=True)


@pytest.mark.parametrize("values", [[0, 2, math.nan], [-1e-7, 2 + 1e-6, 1.5]])
def test_nan_and_ends_to_rounding_are_in_range(values):
    check_values(Largest(), torch.tensor(values).double(), trained=False)


def test_ours_are_left_to_their_tests():
    check_values(Coverage(), torch.tensor([3.0]).double(), trained=False)


@pytest.mark.parametrize(
    ("metrics", "line"),
    [
        ([Largest], r"hold objects of subclasses of InstanceMetric, got the class Largest; did you mean Largest\(\)\?"),
        ([Largest(), "Largest"], r"hold objects of subclasses of InstanceMetric, got str\."),
        (Largest(), r"be a list of metrics, got Largest\."),
    ],
)
def test_what_are_no_metrics_is_one_line(metrics, line):
    with pytest.raises(ValueError, match=f"^`metrics` must {line}$"):
        check_metrics(metrics)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("range", 1, r"a least and a greatest value, got 1\."),
        ("range", (0, "1"), r"a least and a greatest value, got \(0, '1'\)\."),
        ("unit", 1, r"a text, got 1\."),
        ("label", None, r"a text, got None\."),
    ],
)
def test_a_column_that_is_declared_wrongly_is_one_line(name, value, rule):
    check_metrics([Largest(), changed()])
    with pytest.raises(UserClassError, match=rf"^`Changed.{name}` must be {rule}$"):
        check_metrics([changed(**{name: value})])
