import importlib
import struct
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tensorboard.plugins.base_plugin import TBContext, TBPlugin
from werkzeug.test import Client
from werkzeug.wrappers import Response

from polysemantic.functional import effective_weight
from polysemantic.tensorboard_plugin.plugin import PolysemanticPlugin
from tests.support.snapshots import write_snapshot

ROOT = Path(__file__).parents[2]


@pytest.fixture
def logdir(tmp_path):
    torch.manual_seed(0)
    root = tmp_path / "logs"
    for step in (0, 10):
        tied = {"W_enc": np.full((2, 3, 4), step / 10, np.float32), "instance": np.array([0, 3])}
        write_snapshot(root / "version_0", step, **tied)
    W_enc, W_dec = torch.randn(2, 1, 3, 4)
    write_snapshot(root / "nested" / "untied", 5, W_enc=W_enc.numpy(), W_dec=W_dec.numpy(), instance=np.array([7]))
    config = {"ensemble": {"seeds": 2, "vary": {"l1": [0.0, 0.1]}}}
    (root / "version_0" / "config.yaml").write_text(yaml.safe_dump(config))
    (root / "empty" / "weights").mkdir(parents=True)
    return root


def ask(logdir, route, **query):
    plugin = PolysemanticPlugin(TBContext(logdir=str(logdir)))
    return Client(plugin.get_plugin_apps()[route], Response).get("/", query_string=query)


def weights_of(answer):
    n_features, n_hidden = struct.unpack("<II", answer.data[:8])
    return np.frombuffer(answer.data[8:], "<f2").reshape(n_features, n_hidden)


def test_the_entry_point_names_a_plugin_that_can_be_imported():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["tensorboard_plugins"]
    module, _, name = points[PolysemanticPlugin.plugin_name].partition(":")
    found = getattr(importlib.import_module(module), name)
    assert found is PolysemanticPlugin
    assert issubclass(found, TBPlugin)


def test_every_asset_is_packaged_and_served_as_what_it_is(logdir):
    apps = PolysemanticPlugin(TBContext(logdir=str(logdir))).get_plugin_apps()
    assets = {f"/{path.name}" for path in (ROOT / "polysemantic/tensorboard_plugin/assets").iterdir()}
    assert assets | {"/runs", "/run", "/weights"} == set(apps)
    for route in assets:
        answer = ask(logdir, route)
        assert answer.mimetype == ("text/css" if route.endswith("css") else "text/javascript")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_runs_with_snapshots_are_listed(logdir):
    assert ask(logdir, "/runs").json == ["nested/untied", "version_0"]


def test_a_run_tells_its_steps_and_what_its_instances_are(logdir):
    labels = [[0, "l1=0, seed 0"], [3, "l1=0.1, seed 1"]]
    assert ask(logdir, "/run", run="version_0").json == {"steps": [0, 10], "instances": labels, "skipped": []}
    assert ask(logdir, "/run", run="nested/untied").json["instances"] == [[7, "instance 7"]]


def test_a_matrix_holds_effective_weights(logdir):
    tied = ask(logdir, "/weights", run="version_0", step=10, instance=3)
    np.testing.assert_array_equal(weights_of(tied), np.ones((3, 4)))
    assert tied.headers["X-Content-Type-Options"] == "nosniff"
    untied = ask(logdir, "/weights", run="nested/untied", step=5, instance=7)
    with np.load(logdir / "nested/untied/weights/step_000000005.npz") as file:
        expected = effective_weight(torch.from_numpy(file["W_enc"][0]), torch.from_numpy(file["W_dec"][0]))
    np.testing.assert_array_equal(weights_of(untied), expected.numpy().astype(np.float16))


def test_a_snapshot_written_anew_is_read_anew(logdir):
    query = {"run": "version_0", "step": 10, "instance": 0}
    ask(logdir, "/weights", **query)
    write_snapshot(logdir / "version_0", 10, W_enc=np.full((1, 2, 2), -3e9, np.float32), instance=np.array([0]))
    np.testing.assert_array_equal(weights_of(ask(logdir, "/weights", **query)), np.full((2, 2), -65504))


def test_numbers_that_are_none_stay_so(logdir):
    write_snapshot(logdir / "version_0", 20, W_enc=np.full((1, 2, 2), np.nan, np.float32), instance=np.array([0]))
    assert np.isnan(weights_of(ask(logdir, "/weights", run="version_0", step=20, instance=0))).all()


@pytest.mark.parametrize(
    "query",
    [
        {"run": "version_9", "step": 0, "instance": 0},
        {"run": "../logs/version_0", "step": 0, "instance": 0},
        {"run": "version_0", "step": 3, "instance": 0},
        {"run": "version_0", "step": "../0", "instance": 0},
        {"run": "version_0"},
        {},
    ],
)
def test_what_is_not_listed_is_not_found(logdir, query):
    assert ask(logdir, "/weights", **query).status_code == 404


def test_a_run_outside_the_log_directory_is_not_found(logdir, tmp_path):
    write_snapshot(tmp_path / "secret", 0, W_enc=np.zeros((1, 1, 1)), instance=np.array([0]))
    (logdir / "link").symlink_to(tmp_path / "secret", target_is_directory=True)
    for name in ("../secret", str(tmp_path / "secret"), "link"):
        assert ask(logdir, "/run", run=name).status_code == 404


def test_an_unknown_instance_is_an_answer(logdir):
    answer = ask(logdir, "/weights", run="version_0", step=10, instance=1)
    assert (answer.status_code, answer.mimetype) == (422, "text/plain")


def torn(path):
    path.write_bytes(path.read_bytes()[:100])


def pickled(path):
    np.savez(path, W_enc=np.array([{}]), instance=np.array([{}]))


def without_weights(path):
    np.savez(path, instance=np.array([0]))


def empty(path):
    path.write_bytes(b"")


def a_directory(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [torn, pickled, without_weights, empty, a_directory])
def test_a_damaged_snapshot_is_skipped_with_a_note(logdir, damage):
    damage(logdir / "version_0/weights/step_000000000.npz")
    described = ask(logdir, "/run", run="version_0").json
    assert described["steps"] == [10]
    assert [note.split(":")[0] for note in described["skipped"]] == ["step_000000000.npz"]
    assert ask(logdir, "/weights", run="version_0", step=0, instance=0).status_code == 422


def test_a_flipped_bit_is_noticed(logdir):
    path = logdir / "version_0/weights/step_000000010.npz"
    content = bytearray(path.read_bytes())
    at = content.index(np.ones(4, np.float32).tobytes())
    content[at] ^= 1
    path.write_bytes(content)
    answer = ask(logdir, "/weights", run="version_0", step=10, instance=0)
    assert answer.status_code == 422
    assert answer.text.startswith("step_000000010.npz cannot be read:")


@pytest.mark.parametrize("config", ["ensemble: {seeds: 0}", "[", "3", "ensemble: {vary: {a: {}}}", "a: b"])
def test_a_run_whose_configuration_cannot_be_read_is_shown_all_the_same(logdir, config):
    (logdir / "version_0" / "config.yaml").write_text(config)
    instances = ask(logdir, "/run", run="version_0").json["instances"]
    assert instances == [[0, "instance 0"], [3, "instance 3"]]


def test_the_tab_is_there_where_a_run_kept_snapshots(logdir):
    assert PolysemanticPlugin(TBContext(logdir=str(logdir))).is_active()
    for nothing in (str(logdir / "empty"), str(logdir / "absent"), "", None):
        assert not PolysemanticPlugin(TBContext(logdir=nothing)).is_active()
