from __future__ import annotations

import functools
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Float64
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from typing_extensions import override

from polysemantic import random
from polysemantic.data import InputDataModule
from polysemantic.data.agreement import check_users_inputs
from polysemantic.engine.base import Plan, Training
from polysemantic.engine.batches import HiddenNoise, drawn_batches
from polysemantic.engine.select import EngineName, KernelsName, prepare
from polysemantic.functional import effective_weight
from polysemantic.kernels.problem import Problem, Update, this_processor
from polysemantic.model.autoencoder import Autoencoder, has_standard_objective
from polysemantic.model.ensemble import Ensemble
from polysemantic.model.initial_weights import InitialTraits, Recipe
from polysemantic.model.initialisation import Init, check_disambiguation
from polysemantic.model.objective import Act
from polysemantic.training.allocator import trim_heap
from polysemantic.training.checkpoint_schema import CHECKPOINT_FORMAT, check_identity, input_settings
from polysemantic.training.evaluation import evaluate
from polysemantic.training.hyperparameters import check_grid, check_init_from
from polysemantic.training.loop import StepLoop
from polysemantic.training.optimization import Optimization
from polysemantic.training.shard import Shard
from polysemantic.validation.arguments import checked_arguments
from polysemantic.validation.checks import check_at_least_one
from polysemantic.validation.unknown_options import meant_by


class EnsembleModule(LightningModule):
    """An ensemble of autoencoders and how it trains.

    Args:
        n_features: Input coordinates; comes from the DataModule on the command line.
        n_hidden: Neurons.
        ensemble: The instances; comes from `ensemble` on the command line.
        tied: Whether the decoder is the encoder itself.
        bias: Whether the outputs have a bias, initially 0.
        act: Activation of the hidden units.
        l1: Weight of the L1 penalty on hidden activations. Can vary.
        importance: Ratio of one feature's weight in the loss to that of the feature before it, in (0, 1]. Can vary.
        noise: Law of the hidden noise in training.
        noise_std: Standard deviation of the hidden noise. Can vary.
        init: Initial weights.
        init_scale: Factor of the initial weights. Can vary.
        init_from: Checkpoint whose weights to start from, with a fresh optimiser; instead of `init`.
        optimizer: A class of `torch.optim` or the user's, that treats its parameters elementwise.
        lr_scheduler: A schedule of the learning rate in optimiser steps.
        clip_norm: Largest norm of one instance's gradient.
        inner_steps: Optimiser steps between two returns to the trainer; None keeps the progress bar alive at no cost.
        engine: How optimiser steps are taken; `auto` is the quickest way for the shape, the length of the run and the
            machine, `eager` takes them one by one.
        kernels: How matrices are multiplied: `auto` by kernels of our own in C++ or Triton where they are quicker, or
            by `torch` alone.
        autoencoder: The network, `Autoencoder` or a subclass.
        seed: Root of all random draws; comes from `seed_everything` on the command line.

    Raises:
        ValueError: If an argument breaks its rule, or the optimiser or its schedule cannot be made.
        TypeError: If an option is unknown.
    """

    can_vary: ClassVar[tuple[str, ...]] = ("l1", "noise_std", "init_scale", "importance")

    @checked_arguments(meant_by)
    def __init__(
        self,
        n_features: int,
        n_hidden: int,
        ensemble: Ensemble | None = None,
        tied: bool = True,
        bias: bool = False,
        act: Act = "linear",
        l1: float = 0.001,
        importance: float = 1.0,
        noise: random.NoiseLaw = "bernoulli",
        noise_std: float = 0.0,
        init: Init = "normal",
        init_scale: float = 1.0,
        init_from: str | None = None,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.AdamW(parameters, lr=0.001),
        lr_scheduler: LRSchedulerCallable | None = None,
        clip_norm: float | None = None,
        inner_steps: int | None = None,
        engine: EngineName = "auto",
        kernels: KernelsName = "auto",
        autoencoder: type[Autoencoder] = Autoencoder,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        ensemble = ensemble or Ensemble()
        check_at_least_one(n_features=n_features, n_hidden=n_hidden, inner_steps=inner_steps)
        numbers = {"l1": l1, "noise_std": noise_std, "init_scale": init_scale, "importance": importance}
        check_grid(numbers, ensemble)
        check_init_from(init_from, init, init_scale, ensemble)
        self.n_features, self.n_hidden = n_features, n_hidden
        self.ensemble, self.seed, self.numbers = ensemble, seed, numbers
        self.shard = Shard(ensemble.n_instances)
        self.rows: Shard | None = None
        self.tied, self.bias, self.act, self.noise, self.init = tied, bias, act, noise, init
        self.recipe = Recipe(init, init_from, n_features, n_hidden, tied, bias, ensemble, seed)
        self.optimization, self.clip_norm = Optimization(optimizer, lr_scheduler, clip_norm), clip_norm
        self.engine, self.kernels = engine, kernels
        self.plan: Plan | None = None  # In experiments, how steps are taken in place of what the options ask for.
        self.loop, self.trained_steps = StepLoop(inner_steps), 0
        self.autoencoder_class = autoencoder
        self.autoencoder: Autoencoder | None = None

    @property
    def instances(self) -> slice:
        """The instances that this process holds."""
        return self.shard.held

    @property
    def loss(self) -> Float[Tensor, " instance"] | None:
        """The training losses of the last step that gave them."""
        return self.loop.loss

    @property
    def networks(self) -> Autoencoder:
        """The networks, once they are made."""
        if self.autoencoder is None:
            self.configure_model()
        assert self.autoencoder is not None
        return self.autoencoder

    @property
    def data(self) -> InputDataModule:
        """The DataModule of the running trainer."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, InputDataModule)
        return data

    def number(self, name: str) -> Float64[Tensor, " instance"]:
        """A hyperparameter that may vary, for each instance held here."""
        if name in self.ensemble.vary:
            return self.ensemble.values(name)[self.instances]
        return torch.full((self.shard.size,), self.numbers[name], dtype=torch.float64)

    @override
    def setup(self, stage: str) -> None:
        data = self.data
        self.check_data(data)
        data.divide(1 if self.rows is None else self.rows.ranks)
        data.bind(self.ensemble, self.seed, self.instances, self.trainer.strategy.root_device)
        check_users_inputs(data)

    def check_data(self, data: InputDataModule) -> None:
        """Refuse data that these networks cannot be trained on.

        Raises:
            ValueError: If the number of features differs, or neither side declares what varies, or `init` needs others.
        """
        self.ensemble.check_names(self.can_vary, data.can_vary)
        if data.n_features != self.n_features:
            raise ValueError(f"`n_features` must be that of the data, {data.n_features}, got {self.n_features}.")
        if self.init == "disambiguation":
            check_disambiguation(data, self.bias, self.act, self.numbers, self.ensemble.points)

    @override
    def configure_model(self) -> None:
        if self.autoencoder is None:
            weights = self.recipe.make(self.instances, self.number("init_scale"))
            self.initial_traits = InitialTraits.of(weights)
            self.autoencoder = self.autoencoder_class(weights, self.act, self.number("l1"), self.number("importance"))

    @property
    def w_start(self) -> Float[Tensor, "instance feature hidden"]:
        """The effective weights at initialisation, drawn again."""
        weights = self.recipe.make(self.instances, self.number("init_scale"))
        return effective_weight(weights.W_enc, weights.W_dec)

    @override
    def configure_optimizers(self) -> Any:
        optimizer, schedule = self.optimization.make(self.parameters(), self.trainer.max_steps)
        return optimizer if schedule is None else ([optimizer], [schedule])

    @override
    def on_train_start(self) -> None:
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        schedule = self.lr_schedulers()
        assert schedule is None or isinstance(schedule, LRScheduler)
        W = self.networks.W_enc
        std = self.number("noise_std").to(W)[:, None, None]
        noise = HiddenNoise(self.noise, std, self.n_hidden) if bool(std.any()) else None
        rows = None if self.rows is None else self.rows.held
        stream = functools.partial(drawn_batches, self.data, dtype=W.dtype, noise=noise, rows=rows)
        problem = self.describe(
            W.device,
            W.dtype,
            self.optimization.describe(optimizer, self.networks.weights),
            batch=None if self.data.every_feature_once else self.data.batch_size,
            max_steps=self.trainer.max_steps,
            density=self.data.density,
        )
        plan = self.plan or prepare(problem, self.engine, self.kernels)
        average = None if self.rows is None else self.rows.average
        engine = plan.make(Training(self.networks, optimizer, schedule, self.clip_norm, average))
        self.loop.begin(engine, stream, small_steps=problem.is_small, together=self.shard.ranks > 1)
        trim_heap()  # The measurements of the start have freed memory that training cannot reuse.

    @override
    def teardown(self, stage: str) -> None:
        self.loop.end()

    @override
    def training_step(self, batch: int, batch_idx: int) -> None:
        self.loop.run_chunk(self.trainer, self)

    def describe(
        self,
        device: torch.device,
        dtype: torch.dtype,
        update: Update,
        *,
        batch: int | None,
        max_steps: int,
        density: float = 1.0,
    ) -> Problem:
        """What a run's steps compute, and where.

        Args:
            device: Where the networks are, or will be.
            dtype: Their precision.
            update: What the update of a step consists of.
            batch: Inputs of one step; None if they are every feature once.
            max_steps: Length of the run.
            density: Largest expected share of features that are on.
        """
        return Problem(
            n_instances=self.shard.size,
            n_features=self.n_features,
            n_hidden=self.n_hidden,
            batch=batch,
            dtype=dtype,
            device=device.type,
            tied=self.tied,
            act=self.act,
            standard=has_standard_objective(self.autoencoder_class),
            update=update,
            divided=self.rows is not None,
            density=density,
            max_steps=max_steps,
            threads=torch.get_num_threads(),
            processor=this_processor(device),
        )

    def evaluation_inputs(self, batch: int, block: slice = slice(None)) -> Float[Tensor, "instance batch feature"]:
        """One batch of evaluation draws for instances held here, in the precision and on the device of the networks."""
        return self.data.block(block).evaluation_inputs(batch).to(self.networks.W_enc)

    def evaluate(self, x: Float[Tensor, "instance batch feature"], networks: Autoencoder) -> dict[str, Tensor]:
        """See `evaluation.evaluate`, for some of the networks of this run."""
        return evaluate(networks, x, every_feature_once=self.data.every_feature_once)

    @override
    def validation_step(self, batch: int, batch_idx: int) -> None:
        pass  # the callback that writes the results measures what there is

    test_step = validation_step

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["polysemantic"] = {"format": CHECKPOINT_FORMAT, **self.recipe.identity(), **self._conditions()}

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        found = checkpoint.get("polysemantic", {})
        training = self.trainer.state.fn == "fit"
        check_identity(found, self.recipe.identity() | (self._conditions() if training else {}))
        self.trained_steps = checkpoint["global_step"]

    def _conditions(self) -> dict[str, Any]:
        """What a checkpoint must agree on to be trained on, or its run would end as no configuration makes it."""
        fixed = {name: value for name, value in self.numbers.items() if name not in self.ensemble.vary}
        return {
            "data": input_settings(self.data),
            "act": self.act,
            "noise": self.noise,
            **fixed,
            **self.optimization.settings(),
        }


def ensemble_module(pl_module: LightningModule) -> EnsembleModule:
    """The module that a Lightning hook is given, by its own type: every run of ours trains an `EnsembleModule`."""
    assert isinstance(pl_module, EnsembleModule)
    return pl_module
