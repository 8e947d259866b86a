import functools
import types

import pytest
import torch

from polysemantic.data import IndependentBernoulli, KHot, OneHot
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.ensemble import Ensemble
from polysemantic.results.setups import Setup, setups_of_config, setups_of_module
from polysemantic.training.module import EnsembleModule

SGD = functools.partial(torch.optim.SGD, lr=0.5)


class OneHotOfMine(OneHot):
    """A user's, of the same name, which may draw anything."""


class Mine(Autoencoder):
    """A user's network."""


def setups(data=None, ensemble=None, **options):
    """The setups of a module that would train on some data."""
    data = data or OneHot(8)
    module = EnsembleModule(8, 6, ensemble or Ensemble(2), **{"optimizer": SGD, **options})
    module._trainer = types.SimpleNamespace(datamodule=data)
    return setups_of_module(module)


def test_a_run_of_the_papers_setting_has_it():
    assert setups(l1=0.02) == [Setup(8, 6, l1=0.02, learning_rate=0.5)]


@pytest.mark.parametrize(
    ("data", "one_hot", "every_feature_once"),
    [
        (OneHot(8), True, True),
        (OneHot(8, batch_size=4), True, False),
        (OneHot(8, magnitude="uniform"), False, False),
        (OneHotOfMine(8), False, False),
        (IndependentBernoulli(8, 0.1), False, False),
        (KHot(8, 1), False, False),
    ],
)
def test_only_our_own_one_hot_inputs_count_as_such(data, one_hot, every_feature_once):
    (setup,) = setups(data)
    assert (setup.one_hot, setup.every_feature_once) == (one_hot, every_feature_once)


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"tied": False}, {"tied": False}),
        ({"bias": True}, {"bias": True}),
        ({"act": "relu"}, {"act": "relu"}),
        ({"importance": 0.5}, {"importance": 0.5}),
        ({"noise": "laplace", "noise_std": 0.1}, {"noise": "laplace", "noise_std": 0.1}),
        ({"init": "orthogonal"}, {"init": "orthogonal"}),
        ({"init_from": "last.ckpt"}, {"init": "init_from"}),
        ({"autoencoder": Mine}, {"our_network": False}),
        ({"clip_norm": 1.0}, {"learning_rate": None}),
        ({"lr_scheduler": lambda o: torch.optim.lr_scheduler.StepLR(o, 9)}, {"learning_rate": None}),
        ({"optimizer": torch.optim.AdamW}, {"learning_rate": None}),
        ({"optimizer": functools.partial(SGD, momentum=0.9)}, {"learning_rate": None}),
        ({"optimizer": functools.partial(SGD, weight_decay=0.1)}, {"learning_rate": None}),
        ({"optimizer": functools.partial(SGD, maximize=True)}, {"learning_rate": None}),
    ],
)
def test_every_option_that_a_prediction_assumes_is_read(options, changed):
    (setup,) = setups(**options)
    assert vars(setup) == vars(Setup(8, 6, learning_rate=0.5)) | changed


def test_each_grid_point_has_its_own_numbers():
    found = setups(ensemble=Ensemble(2, {"l1": [0.0, 0.1], "init_scale": [1.0, 2.0]}))
    assert [setup.l1 for setup in found] == [0.0, 0.0, 0.1, 0.1]


@pytest.mark.parametrize(
    ("data", "model", "changed"),
    [
        ("polysemantic.data.OneHot", {}, {}),
        ("polysemantic.data.one_hot.OneHot", {"autoencoder": "polysemantic.model.autoencoder.Autoencoder"}, {}),
        ("mine.OneHot", {}, {"one_hot": False, "every_feature_once": False}),
        ("polysemantic.data.OneHot", {"autoencoder": "mine.Autoencoder"}, {"our_network": False}),
        ("polysemantic.data.OneHot", {"optimizer": {"class_path": "mine.SGD"}}, {"learning_rate": None}),
        ("polysemantic.data.OneHot", {"optimizer": None}, {"learning_rate": None}),
    ],
)
def test_a_configuration_tells_our_classes_from_a_users_of_the_same_names(data, model, changed):
    optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5, "momentum": 0}}
    config = {
        "data": {"class_path": data, "init_args": {"n_features": 8, "batch_size": None, "magnitude": "one"}},
        "model": {"n_hidden": 6, "init_from": None, "optimizer": optimizer} | model,
        "ensemble": {"seeds": 2, "vary": {}},
    }
    (setup,) = setups_of_config(config, n_features=8)
    assert vars(setup) == vars(Setup(8, 6, learning_rate=0.5)) | changed
