import pytest
import torch

from polysemantic.functional import decode_collisions, follow_lives, no_lives
from tests import reference


def random_history(shape, n_steps=80):
    """A slow random walk between -1 and 1 that crosses the thresholds often, in either direction."""
    w, history = torch.zeros(shape), []
    for _ in range(n_steps):
        w = (w + 0.25 * torch.randn(shape)).clamp(-1, 1)
        history.append(w)
    return history


def recorded_lives(history):
    """Lives in the form of the oracle, kept in a table as a callback would."""
    shape = history[0].shape[1:]
    lives, living, ended = no_lives(history[0]), {}, []
    for step, w in enumerate(history):
        lives, events = follow_lives(lives, w)
        for code, i_left, j_left in zip(*(e.tolist() for e in events[2:]), strict=True):
            ended.append((code, *living.pop(code), step, "both" if i_left and j_left else "i" if i_left else "j"))
        living |= {code: [step, None] for code in events.born.tolist()}
        for code in events.settled.tolist():
            assert living[code][1] is None
            living[code][1] = step
        assert lives.codes.tolist() == sorted(living)
        assert lives.settled.tolist() == [living[code][1] is not None for code in sorted(living)]
    rows = ended + [(code, *living[code], None, None) for code in sorted(living)]
    return [
        (*(index.item() for index in decode_collisions(torch.tensor([code]), *shape)), *life) for code, *life in rows
    ]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 1), (2, 1, 3), (1, 6, 2), (3, 4, 3)])
def test_lives_match_loops_over_a_random_history(shape):
    history = random_history(shape)
    assert recorded_lives(history) == reference.collision_lives(history)


def test_the_random_history_has_every_kind_of_life():
    lives = reference.collision_lives(random_history((3, 4, 3)))
    assert len({life[:4] for life in lives}) < len(lives), "none re-forms"
    assert {life[7] for life in lives} == {"i", "j", "both", None}
    assert {life[5] is None for life in lives} == {True, False}


def planted(*pairs):
    return [torch.tensor([[[i], [j]]]) for i, j in pairs]


def test_a_collision_that_re_forms_has_a_new_life_and_settles_anew():
    history = planted((0.8, 0.8), (0.8, 0.2), (0.8, 0.6), (0.8, 0.9))
    assert recorded_lives(history) == [(0, 0, 0, 1, 0, 0, 1, "j"), (0, 0, 0, 1, 2, 3, None, None)]


def test_both_features_can_leave_between_two_observations():
    assert recorded_lives(planted((0.6, -0.6), (0.1, 0.0))) == [(0, 0, 0, 1, 0, None, 1, "both")]


def test_jitter_around_the_threshold_is_one_life():
    assert recorded_lives(planted((0.9, 0.51), (0.9, 0.49), (0.9, 0.31), (0.9, 0.5))) == [
        (0, 0, 0, 1, 0, None, None, None)
    ]


def test_a_settled_life_settles_once():
    lives = recorded_lives(planted((0.7, 0.7), (0.6, 0.7), (0.9, 0.9)))
    assert lives == [(0, 0, 0, 1, 0, 0, None, None)]


def test_bad_arguments_are_refused():
    w = torch.ones(1, 2, 1)
    with pytest.raises(ValueError, match=r"`ended` must lie in \[0, 0.5\], got 0.6\."):
        follow_lives(no_lives(w), w, ended=0.6)
    with pytest.raises(ValueError, match=r"`w` must have the shape of the state, \(1, 2, 1\), got \(1, 2, 3\)\."):
        follow_lives(no_lives(w), torch.ones(1, 2, 3))
