import math

import numpy as np
import pandas as pd
import torch

from polysemantic.callbacks.collisions.records import LifeRecords
from polysemantic.functional import large_weights
from polysemantic.model.objective import Weights
from tests.support.lives import rows, wandering


def observed(history, max_lives=100):
    records = LifeRecords(tuple(history[0].shape), max_lives)
    for step, w in enumerate(history):
        records.observe(step, large_weights(w), lambda codes: torch.zeros(len(codes)))
    return records


def planted(*columns):
    """One instance with one neuron, its weights given for each step."""
    return [torch.tensor(column).view(1, -1, 1) for column in columns]


def test_an_instance_with_too_many_collisions_is_not_followed_until_it_has_fewer():
    history = planted([0.9] * 4, [0.9] * 4, [0.9, 0.9, 0.1, 0.1], [0.9, 0.1, 0.1, 0.1])
    records = observed(history, max_lives=3)
    assert rows(records.table()) == [(0, 0, 0, 1, 2, 2, 3, "j")]
    assert all(math.isnan(count.item()) for count in records.counts().values())


def test_an_instance_that_fills_its_record_is_followed_no_further_and_its_lives_are_censored():
    history = planted([0.9, 0.9], [0.9, 0.1], [0.9, 0.9], [0.9, 0.1], [0.9, 0.9])
    table = observed(history, max_lives=2).table()
    assert rows(table) == [(0, 0, 0, 1, 0, 0, 1, "j"), (0, 0, 0, 1, 2, 2, 3, "j")]
    table = observed(planted([0.9] * 2 + [0] * 2, [0.9] * 4, [0.1] * 4), max_lives=1).table()
    assert rows(table) == [(0, 0, 0, 1, 0, 0, 2, "both")]


def test_the_limit_is_one_of_each_instance_alone():
    crowd, pair = torch.full((1, 4, 1), 0.9), torch.tensor([0.9, 0.9, 0.0, 0.0]).view(1, 4, 1)
    records = observed([torch.cat([crowd, pair])] * 2, max_lives=3)
    assert rows(records.table()) == [(1, 0, 0, 1, 0, 0, None, None)]
    assert records.counts()["born"].nan_to_num(-1).tolist() == [-1, 1]


def test_collisions_of_an_instance_that_diverged_count_as_alive_when_last_seen():
    history = planted([0.9, 0.9], [0.9, 0.9], [math.nan, 0.9], [math.nan, math.nan])
    table = observed(history).table()
    assert rows(table) == [(0, 0, 0, 1, 0, 0, None, None)]
    assert table["last_seen_step"].tolist() == [1]


def test_records_that_are_read_back_remember_which_instances_were_seen():
    records = observed(planted([0.9, 0.9], [math.nan, math.nan]))
    again = LifeRecords(records.shape, 100)
    again.load_state_dict(records.state_dict())
    for each in (records, again):
        each.measure_costs(lambda codes: torch.full((len(codes),), 99.0))
    pd.testing.assert_frame_equal(again.table(), records.table())
    assert records.table()["cost_at_end"].tolist() == [0.0]


def test_what_did_not_change_need_not_be_looked_at_again():
    history = wandering((3, 5, 4), 40)
    history = [w for one in history for w in (one, one * 1.001, one, one)]  # crosses no threshold, but for a few
    looked, skipped, asked = LifeRecords((3, 5, 4), 10**4), LifeRecords((3, 5, 4), 10**4), [0, 0]
    n_skipped = 0

    for step, w in enumerate(history):
        for at, records in enumerate((looked, skipped)):

            def cost(codes, at=at, step=step):
                asked[at] += 1
                return torch.full((len(codes),), float(step))

            cost_due = step % 10 == 0
            if records is looked or not records.skip_unchanged(step, Weights(w)):
                records.observe(step, large_weights(w), cost, cost_due=cost_due)
            else:
                n_skipped += 1
                if cost_due:
                    records.measure_costs(cost)
    assert n_skipped > 5
    assert asked[0] == asked[1] > 0
    pd.testing.assert_frame_equal(looked.table(), skipped.table())
    assert skipped.table()["resolved_step"].notna().sum() > 20


def test_lives_that_ended_leave_less_room_for_those_seen_next():
    three, two = torch.zeros(1, 4, 3), torch.zeros(1, 4, 3)
    three[0, :2] = 1
    two[0, :2, 0] = two[0, 2:, 1] = two[0, 1, 2] = two[0, 3, 2] = 1
    always, records = (LifeRecords((1, 4, 3), max_lives=4) for _ in range(2))
    for step, w in enumerate([three, two, two, two]):
        for one in (always, records):
            if one is always or not one.skip_unchanged(step, Weights(w)):
                one.observe(step, large_weights(w), lambda codes: torch.zeros(len(codes)), cost_due=False)
    assert bool(always.crowded) == bool(records.crowded) is True
    pd.testing.assert_frame_equal(always.table(), records.table())


def test_a_network_with_dense_weights_keeps_its_record_small():
    w = torch.randn(4, 64, 64) * 5 / 8
    records = observed([w] * 2, max_lives=2000)
    assert len(records.table()) == 0
    assert sum(column.numel() for column in records.state_dict()["living"].values()) == 0


def test_lives_are_in_order_and_reforming_is_a_new_life():
    history = planted([0.9, 0.9], [0.9, 0.1], [0.9, 0.9])
    table = observed(history).table()
    assert table["instance"].tolist() == [0, 0]
    assert table["born_step"].tolist() == [0, 2]
    assert np.array_equal(table["settled_step"].to_numpy(), [0, 2])
