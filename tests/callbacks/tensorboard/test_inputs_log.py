import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import polysemantic
from polysemantic.callbacks.tensorboard.inputs_log import input_statistics
from polysemantic.data import OneHot, PairMixture


def test_a_run_writes_down_the_cooccurrence_of_each_grid_point_once(tmp_path):
    ensemble = polysemantic.Ensemble(seeds=2, vary={"pair_probability": [0.0, 1.0]})
    data = PairMixture(n_features=4, pair_probability=0.5, batch_size=4)
    run = polysemantic.fit(
        data, ensemble=ensemble, n_hidden=4, max_steps=4, trainer={"default_root_dir": str(tmp_path)}
    )
    board = EventAccumulator(str(run.directory))
    board.Reload()
    expected = {f"inputs/{what}/pair_probability={p}" for what in ("cooccurrence", "phi") for p in (0, 1)}
    assert {tag for tag in board.Tags()["images"] if tag.startswith("inputs/")} == expected
    assert all(len(board.Images(tag)) == 1 and board.Images(tag)[0].width == 256 for tag in expected)
    companions = run.results.groupby("pair_probability")["expected_companions"].first()
    assert companions.to_dict() == pytest.approx({0.0: 0.0, 1.0: 1.0})


def test_inputs_that_grid_points_share_are_written_down_once_and_the_first_six_are_shown(tmp_path):
    values = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    ensemble = polysemantic.Ensemble(seeds=1, vary={"l1": [0.0, 0.01], "pair_probability": values})
    data = PairMixture(n_features=4, pair_probability=0.5, batch_size=4)
    run = polysemantic.fit(
        data, ensemble=ensemble, n_hidden=4, max_steps=1, trainer={"default_root_dir": str(tmp_path)}
    )
    board = EventAccumulator(str(run.directory)).Reload()
    shown = {tag for tag in board.Tags()["images"] if tag.startswith("inputs/phi/")}
    assert shown == {f"inputs/phi/pair_probability={p:g}" for p in values[:6]}
    (text,) = board.Tensors("inputs/text_summary")
    told = text.tensor_proto.string_val[0].decode()
    assert [told.count(f"**pair_probability={p:g}**") for p in values] == [1] * 7
    assert told.count("| expected companions |") == 7


def test_input_statistics_leave_out_what_is_undefined():
    assert "| phi | - | - | - |" in input_statistics(OneHot(1))
    assert "| expected companions | 0 | 0 | 0 |" in input_statistics(OneHot(3))
