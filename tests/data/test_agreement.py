from __future__ import annotations

import pytest
import torch

from polysemantic import random
from polysemantic.data import IndependentBernoulli, OneHot
from polysemantic.data.agreement import check_agreement, check_users_inputs
from polysemantic.validation.user_classes import UserClassError
from tests.support.user_inputs import Mine, bound, drawing

GRID = {"p": [0.1, 0.3, 0.5]}


DRAWN_WRONGLY = {
    "other shape": (
        drawing(lambda self, keys, x: x[..., 1:]),
        "(step, instance, batch, feature) (8, 2, 256, 3), got (8",
    ),
    "without steps": (
        drawing(lambda self, keys, x: x[0]),
        "(step, instance, batch, feature) (8, 2, 256, 3), got (2, 256",
    ),
    "numpy": (drawing(lambda self, keys, x: x.numpy()), "got ndarray."),
    "float64": (drawing(lambda self, keys, x: x.double()), "`Drawn.sample` must give float32, got torch.float64."),
    "bool": (drawing(lambda self, keys, x: x > 0), "`Drawn.sample` must give float32, got torch.bool."),
    "nan": (drawing(lambda self, keys, x: x / x), "must give finite inputs of at least 0, got nan of feature"),
    "negative": (drawing(lambda self, keys, x: -x), "must give finite inputs of at least 0, got -1 of feature"),
    "twice the magnitude": (
        drawing(lambda self, keys, x: 2 * x),
        "must give 1 for what is on where `magnitude` is one, got 2 of feature",
    ),
    "without keys": (
        drawing(lambda self, keys, x: (torch.rand(x.shape) < 0.3).float()),
        "must give the same inputs for the same keys, got others: all draws must be of `polysemantic.random`.",
    ),
    "those of the first step": (
        drawing(lambda self, keys, x: x[:1].expand_as(x)),
        "must give the same inputs beside any number of steps, got others.",
    ),
    "those of the first seed": (
        drawing(lambda self, keys, x: x[:, :1].expand_as(x)),
        "must give the same inputs beside any number of instances, got others.",
    ),
    "one for a batch": (
        drawing(lambda self, keys, x: x[..., :1, :].expand_as(x)),
        "must draw each input of a batch independently, got feature",
    ),
    "one for all steps": (
        drawing(lambda self, keys, x: Mine.sample(self, self.keys("data", range(1)))[:1].expand_as(x)),
        "must draw each step independently, got feature",
    ),
    "more often": (
        drawing(lambda self, keys, x: torch.maximum(x, Mine.sample(self, keys.fold(1)))),
        "`Drawn.sample` must draw what `cooccurrence` declares, P(",
    ),
    "together": (
        drawing(lambda self, keys, x: x[..., :1].expand_as(x)),
        "`Drawn.sample` must draw what `cooccurrence` declares, P(0 and 1 on) = 0.09, got",
    ),
    "never": (
        drawing(lambda self, keys, x: 0 * x),
        "must draw what `cooccurrence` declares, P(0 on) = 0.3, got 0 of 4096 inputs.",
    ),
}


@pytest.mark.parametrize(("kind", "words"), DRAWN_WRONGLY.values(), ids=DRAWN_WRONGLY)
def test_inputs_that_a_class_draws_wrongly_are_one_line(kind, words):
    with pytest.raises(UserClassError) as refusal:
        check_users_inputs(bound(kind()))
    assert words in str(refusal.value)
    assert str(refusal.value).startswith(f"`{kind.__name__}.")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("n_features", "batch_size", "seeds", "magnitude"),
    [(1, 1, 1, "one"), (1, 64, 3, "uniform"), (3, 5000, 2, "one"), (64, 3, 3, "uniform"), (300, 256, 1, "uniform")],
)
def test_a_right_class_is_accepted_in_every_shape(n_features, batch_size, seeds, magnitude):
    data = Mine(n_features, batch_size=batch_size, magnitude=magnitude)
    check_users_inputs(bound(data, seeds, vary=GRID, instances=slice(1, 2)))


def test_a_batch_that_processes_divide_is_checked_as_a_whole():
    data = Mine(batch_size=32)
    data.divide(2)
    check_users_inputs(bound(data, vary=GRID))
    assert data.inputs(0).shape == (9, 64, 3)


def test_ours_are_left_to_their_tests_and_a_subclass_of_ours_is_not():
    class Shifted(OneHot):
        def sample(self, keys):
            return super().sample(keys).roll(1, dims=-1)[..., :1].expand(-1, -1, -1, self.n_features)

    check_users_inputs(bound(IndependentBernoulli(4, 0.1)))
    with pytest.raises(
        UserClassError, match=r"^`Shifted.sample` must draw what `cooccurrence` declares, P\(0 and 1 on\)"
    ):
        check_users_inputs(bound(Shifted(4, batch_size=64)))


@pytest.mark.parametrize("method", ["sample", "cooccurrence"])
def test_what_varies_must_reach_what_is_drawn_and_what_is_declared(method):
    class Deaf(Mine):
        deaf = False

        def knob(self, name):
            return torch.full_like(super().knob(name), self.p) if self.deaf else super().knob(name)

    def without_hearing(self, *args):
        self.deaf = True
        try:
            return getattr(Mine, method)(self, *args)
        finally:
            self.deaf = False

    setattr(Deaf, method, without_hearing)
    check_agreement(bound(Deaf()))
    with pytest.raises(UserClassError, match=rf"^`Deaf.{method}` must read what varies by `knob`, got .* at p=0.1\.$"):
        check_agreement(bound(Deaf(), vary=GRID))


def test_the_points_of_a_long_grid_are_all_looked_at_and_some_drawn():
    class Once(Mine):
        def cooccurrence(self):
            joint = super().cooccurrence()
            return torch.where(self.knob("p") == 0.4, joint * 9, joint)

    assert Once(p=0.39).cooccurrence().max() < 1
    with pytest.raises(UserClassError, match=r"probabilities in \[0, 1\], got P\(0 on\) = 3.6 at p=0.4\.$"):
        check_agreement(bound(Once(), vary={"p": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]}))


def both(self, keys):
    return self.activate(self.on(keys.fold(1)) & self.on(keys.fold(self.purpose)), keys)


@pytest.mark.parametrize("purpose", [1, 2])
def test_two_draws_with_the_same_keys_are_named_as_the_cause(purpose):
    squared = {"cooccurrence": lambda self: Mine.cooccurrence(self) ** 2}
    data = bound(type("Both", (Mine,), {"sample": both, "purpose": purpose, **squared})())
    if purpose == 2:
        check_agreement(data)
        return
    with pytest.raises(
        UserClassError, match=r"P\(. on\) = 0.09, got .*; `sample` draws twice with the same keys, .*fold"
    ):
        check_agreement(data)


def test_two_draws_with_the_same_keys_are_a_warning_where_counts_agree():
    twice = drawing(lambda self, keys, x: torch.maximum(x, Mine.sample(self, keys)))
    with pytest.warns(UserWarning, match=r"^`Drawn.sample` draws twice with the same keys"):
        check_agreement(bound(twice()))


def test_rows_handed_to_instances_are_no_draw():
    def sample(self, keys):
        on = random.bernoulli(random.Keys(keys.values), self.p, self.batch_size, self.n_features)
        return keys.to_instances(keys.to_instances(on.float()))

    check_agreement(bound(type("Handed", (Mine,), {"sample": sample})()))


@pytest.mark.parametrize(
    ("power", "got"),
    [(0.0, "a mean of 1, from 1 to 1, of feature 0"), (4.0, r"a mean of 0\.18"), (-1.0, ".* of feature")],
)
def test_a_uniform_magnitude_must_be_uniform(power, got):
    shaped = drawing(lambda self, keys, x: torch.where(x > 0, x**power, 0))
    with pytest.raises(UserClassError, match=rf"must give values uniform in \(0, 1\] .*, got {got}"):
        check_agreement(bound(shaped(magnitude="uniform")))


def test_a_class_that_takes_no_magnitude_has_values_of_its_own():
    class Own(Mine):
        def __init__(self, n_features=3, p=0.3):
            super().__init__(n_features, p)

        def sample(self, keys):
            return 5 * super().sample(keys)

    check_agreement(bound(Own()))


class Whole(Mine):
    """Every combination of two features once in each step, which is no random draw."""

    def __init__(self):
        super().__init__(2, 0.5, batch_size=4)

    def sample(self, keys):
        rows = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        return rows.expand(*keys.values.shape[:-1], self.n_instances, -1, -1)


def test_a_batch_of_every_input_may_be_the_same_in_each_step():
    check_agreement(bound(Whole()))


def test_inputs_may_depend_on_one_another_where_the_class_says_so():
    bursts = drawing(lambda self, keys, x: x[..., :1, :].expand_as(x))
    bursts.independent_inputs = False
    check_agreement(bound(bursts()))


@pytest.mark.parametrize(
    ("attributes", "line"),
    [
        (
            {"every_feature_once": True},
            r"`Other.every_feature_once` must be true only where `sample` gives the identity",
        ),
        (
            {"partition": torch.tensor([1.0, -1.0])},
            r"`Other.partition` must hold \+1 or -1 for each of 3 .*, got \[1.0, -1",
        ),
        ({"partition": torch.ones(3)}, r"`Other.partition` must hold \+1 or -1 for each of 3 features, and both, got"),
        (
            {"phi": lambda self: torch.zeros(3, 3)},
            r"`Other.phi` must give what follows .*, shape \(3, 3, 3\), got the shape \(3, 3\)\.",
        ),
        (
            {"expected_companions": lambda self: torch.ones(3, 3)},
            r"`Other.expected_companions` .*, got other numbers\.",
        ),
        (
            {"marginals": lambda self: None},
            r"`Other.marginals` must run without an error, got AttributeError: 'NoneType",
        ),
        ({"joint": lambda self: Mine.joint(self) + 1}, r"`Other.joint` must give what follows .*, got other numbers\."),
    ],
)
def test_what_else_a_class_declares_must_follow_too(attributes, line):
    with pytest.raises(UserClassError, match=f"^{line}"):
        check_agreement(bound(type("Other", (Mine,), attributes)()))


def test_an_error_in_a_class_names_the_line_that_raised_it():
    class Failing(Mine):
        def sample(self, keys):
            return self.draw_all(keys)

    number = Failing.sample.__code__.co_firstlineno + 1
    error = r"^`Failing.sample` must run without an error, got AttributeError: .*'draw_all'"
    with pytest.raises(UserClassError, match=rf"{error} \(test_agreement.py, line {number}\)\.$"):
        check_agreement(bound(Failing()))


class Forgetful(Mine):
    def __init__(self, n_features=3, p=0.3, most=2):
        super().__init__(n_features, p)
        self._most = most

    def sample(self, keys):
        return super().sample(keys) * self._most

    def cooccurrence(self):
        return super().cooccurrence()


def test_an_argument_that_is_not_kept_is_told():
    with pytest.warns(UserWarning, match=r"^`Forgetful.__init__` keeps no most under the argument's own name"):
        check_agreement(bound(Forgetful()))
    with pytest.raises(
        UserClassError, match=r"^`Forgetful.sample` must follow from arguments that `__init__` keeps .* most too"
    ):
        check_agreement(bound(Forgetful(most=3), vary=GRID))


def test_an_argument_that_is_needed_and_not_kept_is_named():
    class Needy(Mine):
        def __init__(self, n_features, p, most):
            super().__init__(n_features, p)

    with pytest.raises(
        UserClassError, match=r"^`Needy.__init__` must keep each argument .*, got .*missing .* 'most'\.$"
    ):
        bound(Needy(3, 0.3, 1), vary=GRID)


def test_names_that_vary_are_a_tuple():
    with pytest.raises(ValueError, match=r"^`can_vary` must be a tuple of names, got 'p'\.$"):
        type("Text", (Mine,), {"can_vary": "p"})()
