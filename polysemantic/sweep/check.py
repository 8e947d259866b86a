from __future__ import annotations

import json
from typing import Any

from jsonargparse import Namespace

from polysemantic.data import InputDataModule
from polysemantic.data.agreement import check_users_inputs
from polysemantic.distributed import choose_strategy
from polysemantic.model.ensemble import Ensemble
from polysemantic.runtime.trainer import build_trainer
from polysemantic.sweep.reader import Config
from polysemantic.training.module import EnsembleModule

# A sweep may be planned where there is no accelerator, and run where there is one.
_HERE = {"accelerator": "cpu", "devices": 1, "strategy": "auto", "num_nodes": 1, "logger": None, "plugins": None}


class Checker:
    """Checks runs of the same classes as they would be checked when they start, without starting them.

    Args:
        made: The objects of one of the runs.
    """

    def __init__(self, made: Namespace) -> None:
        self._made = made
        self.data: InputDataModule = made.data
        model: EnsembleModule = made.model
        self._classes = {
            "optimizer": model.optimization.make_optimizer,
            "lr_scheduler": model.optimization.make_schedule,
            "autoencoder": model.autoencoder_class,
        }
        self._trainers: set[str] = set()

    def check(self, config: Config) -> InputDataModule:
        """Refuse a run that would not start, and return its inputs.

        Args:
            config: A configuration that differs from the others only in numbers and texts.

        Raises:
            ValueError: If a value breaks its rule.
        """
        self._check_trainer(config["trainer"])
        data = type(self.data)(**self.data.arguments() | self._numbers(config))
        ensemble = Ensemble(**config["ensemble"])
        options = config["model"] | self._classes
        model = EnsembleModule(data.n_features, ensemble=ensemble, seed=config["seed_everything"], **options)
        model.check_data(data)
        data.bind(ensemble)
        check_users_inputs(data)
        return data

    def _numbers(self, config: Config) -> Config:
        """The arguments of the data that are not objects of classes."""
        given = config["data"].get("init_args", {})
        return {name: value for name, value in given.items() if not isinstance(value, (dict, list))}

    def _check_trainer(self, options: Config) -> None:
        key = json.dumps(options, sort_keys=True)
        if key not in self._trainers:
            self._trainers.add(key)
            plain = {name: value for name, value in options.items() if not isinstance(value, (dict, list))}
            given = vars(self._made.trainer) | plain
            _check_one_process(given["devices"], given["num_nodes"])
            choose_strategy(given["strategy"])
            given |= _HERE
            build_trainer(given.pop("callbacks") or [], None, logged=False, **given)


def _check_one_process(devices: Any, nodes: int) -> None:
    rule = "in a sweep, whose cells are one process each, got"
    if devices not in ("auto", "1", 1) and not (isinstance(devices, list) and len(devices) == 1):
        raise ValueError(f"`trainer.devices` must be 1 {rule} {devices}.")
    if nodes != 1:
        raise ValueError(f"`trainer.num_nodes` must be 1 {rule} {nodes}.")
