from __future__ import annotations

import pytest
import torch

from polysemantic.data.agreement import check_users_inputs
from polysemantic.validation.user_classes import UserClassError
from tests.support.user_inputs import bound, declaring


def with_entries(value, *entries):
    def change(joint):
        joint = joint.clone()
        for i, j in entries:
            joint[:, i, j] = value
        return joint

    return declaring(change)


def with_diagonal(joint, diagonal):
    return torch.full_like(joint, 0.09).diagonal_scatter(torch.full((len(joint), 3), diagonal), dim1=-2, dim2=-1)


WRONG_FORM = {
    "without instances": (declaring(lambda joint: joint[0]), "(instance, feature, feature) (3, 3, 3), got (3, 3)."),
    "of one instance": (declaring(lambda joint: joint[:1]), "(instance, feature, feature) (3, 3, 3), got (1, 3, 3)."),
    "the marginals": (declaring(lambda joint: joint[0, 0]), "(instance, feature, feature) (3, 3, 3), got (3,)."),
    "in numpy": (declaring(lambda joint: joint.numpy()), "got ndarray."),
    "nothing": (declaring(lambda joint: None), "got NoneType."),
    "in float32": (
        declaring(lambda joint: joint.float()),
        "`Declared.cooccurrence` must give float64, got torch.float32.",
    ),
}
IMPOSSIBLE = {
    "nan": (with_entries(torch.nan, (1, 1)), "must give finite numbers, got P(1 on) = nan."),
    "above 1": (with_entries(1.2, (0, 0)), "must give probabilities in [0, 1], got P(0 on) = 1.2."),
    "below 0": (
        with_entries(-0.1, (0, 1), (1, 0)),
        "must give probabilities in [0, 1], got P(0 and 1 on) = -0.1, P(1 and 0 on) =",
    ),
    "not symmetric": (
        with_entries(0.2, (0, 2)),
        "must give the same P(i and j on) as P(j and i on), got P(0 and 2 on) = 0.2, P(2 and 0 on) = 0.09,",
    ),
    "more than a marginal": (
        with_entries(0.31, (0, 1), (1, 0)),
        "must give P(i and j on) at most P(i on), the diagonal, got P(0 and 1 on) =",
    ),
    "without diagonal": (
        declaring(lambda joint: with_diagonal(joint, 0.0)),
        "must give P(i and j on) at most P(i on), the diagonal, got P(0 and 1 on) = 0.09",
    ),
    "less than two marginals leave": (
        declaring(lambda joint: with_diagonal(joint, 0.6)),
        "must give P(i and j on) at least P(i on) + P(j on) - 1, got P(0 and 1 on) = 0.09, P(1 and 0 on) = 0.09, P(0",
    ),
}


@pytest.mark.parametrize(("kind", "words"), (WRONG_FORM | IMPOSSIBLE).values(), ids=WRONG_FORM | IMPOSSIBLE)
def test_a_cooccurrence_that_no_inputs_have_is_one_line(kind, words):
    with pytest.raises(UserClassError) as refusal:
        check_users_inputs(bound(kind()))
    assert words in str(refusal.value)
    assert str(refusal.value).startswith("`Declared.cooccurrence` must give ")
    assert "\n" not in str(refusal.value)


def test_what_else_is_computed_from_a_cooccurrence_refuses_one_without_instances():
    for method in ("joint", "marginals", "expected_companions", "phi"):
        with pytest.raises(UserClassError, match=r"\(instance, feature, feature\) \(3, 3, 3\), got \(3, 3\)\.$"):
            getattr(bound(WRONG_FORM["without instances"][0]()), method)()
