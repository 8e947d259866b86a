from __future__ import annotations

import math
import time
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Float64
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau
from typing_extensions import override

from polysemantic import random
from polysemantic.data import InputDataModule
from polysemantic.engine.eager import Draws, Steps, count_steps, fused
from polysemantic.engine.select import quickest_steps
from polysemantic.functional import effective_weight, gram
from polysemantic.kernels.matmul import Products
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.ensemble import Ensemble
from polysemantic.model.initialisation import Init, check_disambiguation
from polysemantic.model.objective import Act
from polysemantic.model.start import Start, initial_weights
from polysemantic.training.allocator import trim_heap
from polysemantic.training.checkpoint_schema import (
    CHECKPOINT_FORMAT,
    check_identity,
    input_settings,
    optimizer_settings,
    schedule_settings,
)
from polysemantic.training.shard import Shard
from polysemantic.training.signals import defer_interrupts
from polysemantic.validation.checks import check_at_least_one, check_choice, check_numbers, check_positive

# Seconds between returns to Lightning: often enough for a progress bar, too seldom to cost anything. Several processes
# wait for the slowest each time, and cores of a shared machine are slow in turns, each for a second or so.
_CHUNK_SECONDS, _CHUNK_SECONDS_TOGETHER = 0.5, 3.0
_CHUNKS_BETWEEN_LOSSES = 4
# Optimisers of torch whose update of one weight depends on others, or that need what a training step does not give.
_COUPLING = ("Adafactor", "LBFGS", "Muon", "SparseAdam")


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
        compile: Whether to compile several steps into one graph, worth half a minute in long runs of small networks;
            `auto` decides by shape and length; not where processes divide the batch. Unless it is false, networks are
            multiplied by C++ of our own where that is quicker: large ones on processors with matrix units (AMX), all
            from 64 x 64 on where there is AVX-512 and not by Intel. On a GPU for data centres large ones are multiplied
            by kernels of our own on its tensor cores, on any other if it is true; steps are replayed there anyway.
        autoencoder: The network, `Autoencoder` or a subclass.
        seed: Root of all random draws; comes from `seed_everything` on the command line.

    Raises:
        ValueError: If a number is out of its range, a name is unknown, or the optimiser or its schedule cannot be made.
    """

    can_vary: ClassVar[tuple[str, ...]] = ("l1", "noise_std", "init_scale", "importance")

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
        compile: bool | Literal["auto"] = "auto",
        autoencoder: type[Autoencoder] = Autoencoder,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        ensemble = ensemble or Ensemble()
        check_at_least_one(n_features=n_features, n_hidden=n_hidden, inner_steps=inner_steps)
        check_choice(act=(act, Act), noise=(noise, random.NoiseLaw), init=(init, Init))
        numbers = {"l1": l1, "noise_std": noise_std, "init_scale": init_scale, "importance": importance}
        for point in ensemble.points:
            check_numbers(**numbers | {name: value for name, value in point.items() if name in numbers})
        check_positive(clip_norm=clip_norm)
        optimizer_settings(optimizer)
        schedule_settings(lr_scheduler, optimizer)
        if compile is True and (lr_scheduler is not None or clip_norm is not None):
            raise ValueError("`compile` must be false with an lr_scheduler or a clip_norm, got true.")
        if init_from is not None:
            scales = ensemble.vary.get("init_scale", [init_scale])
            if scales != [1] or init != "normal":
                rule = "be left alone with init_from, which brings the weights"
                raise ValueError(f"`init` and `init_scale` must {rule}, got {init} and {scales}.")
        self.n_features, self.n_hidden = n_features, n_hidden
        self.ensemble, self.seed = ensemble, seed
        self.shard = Shard(ensemble.n_instances)
        self.rows: Shard | None = None
        self.tied, self.bias, self.act = tied, bias, act
        self.noise, self.init, self.init_from = noise, init, init_from
        self.numbers = numbers
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.clip_norm, self.inner_steps, self.compile_steps = clip_norm, inner_steps, compile
        self.steps: Steps
        self.noise_scale: Float[Tensor, "instance 1 1"] | None = None
        self.autoencoder_class = autoencoder
        self.autoencoder: Autoencoder | None = None
        self.loss: Float[Tensor, " instance"] | None = None
        self.between_chunks = True
        self.trained_steps = 0
        self.seconds_per_step = math.nan
        self._chunks = 0

    @property
    def instances(self) -> slice:
        """The instances that this process holds."""
        return self.shard.held

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
        data.check_inputs()

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
            weights = initial_weights(self)
            self.start = Start.of(weights)
            self.autoencoder = self.autoencoder_class(weights, self.act, self.number("l1"), self.number("importance"))

    @property
    def w_start(self) -> Float[Tensor, "instance feature hidden"]:
        """The effective weights at initialisation, drawn anew."""
        weights = initial_weights(self)
        return effective_weight(weights.W_enc, weights.W_dec)

    @override
    def configure_optimizers(self) -> Any:
        if self.compile_steps is True and not self.networks.is_standard:
            raise ValueError("`compile` must be false with a network of one's own, got true.")
        optimizer = fused(self.optimizer(self.parameters()))
        if type(optimizer).__name__ in _COUPLING:
            rule = "treat its parameters elementwise, or it would couple the instances"
            raise ValueError(f"`optimizer` must {rule}, got {type(optimizer).__name__}.")
        if self.lr_scheduler is None:
            return optimizer
        schedule = self.lr_scheduler(optimizer)
        self._check_schedule(schedule)
        return [optimizer], [schedule]

    def _check_schedule(self, schedule: Any) -> None:
        if isinstance(schedule, ReduceLROnPlateau):
            rule = "follow the steps alone, as a loss of all would couple the instances"
            raise ValueError(f"`lr_scheduler` must {rule}, got {type(schedule).__name__}.")
        if isinstance(schedule, OneCycleLR) and schedule.total_steps < self.trainer.max_steps:
            rule = f"have total_steps for all {self.trainer.max_steps} steps of the run"
            raise ValueError(f"`lr_scheduler` must {rule}, got {schedule.total_steps}.")

    @override
    def on_train_start(self) -> None:
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        schedule = self.lr_schedulers()
        assert schedule is None or isinstance(schedule, LRScheduler)
        std = self.number("noise_std").to(self.networks.W_enc)
        self.noise_scale = std[:, None, None] if bool(std.any()) else None
        self.steps = quickest_steps(self, optimizer, schedule)
        trim_heap()  # The measurements of the start have freed memory that training cannot reuse.

    @override
    def teardown(self, stage: str) -> None:
        self.__dict__.pop("steps", None)  # threads and graphs, with which a module could not be copied
        self.networks.products, self.networks.sparse_inputs = Products(), False  # as was quickest for its steps

    @override
    def training_step(self, batch: int, batch_idx: int) -> None:
        start = self.trainer.global_step
        began = time.perf_counter()
        with defer_interrupts():
            self._train_chunk(start)
            if self.networks.W_enc.device.type != "cpu":
                torch.accelerator.synchronize()  # or the clock would show how long it takes to ask for the steps
        self.seconds_per_step = (time.perf_counter() - began) / (self.trainer.global_step - start)

    def _train_chunk(self, step: int) -> None:
        """Steps up to the next return to the trainer; callbacks in passing act between them."""
        callbacks: list[Any] = [c for c in self.trainer.callbacks if hasattr(c, "next_step")]  # type: ignore[attr-defined]
        passing = [callback for callback in callbacks if getattr(callback, "in_passing", False)]
        waits = [callback.next_step(step) for callback in callbacks if callback not in passing]
        enough, stop = step + self._chunk_length(), min([self.trainer.max_steps, *waits])
        # For the progress bar. The loss of a large network, whose chunks are single steps, is a tenth of each.
        self._chunks += 1
        shown = self.loss is None or self._chunks % _CHUNKS_BETWEEN_LOSSES == 0
        while True:
            # Whole unrolled blocks from one awaited step to the next: which steps go together never depends on time.
            whole = step + -(-(enough - step) // self.steps.unrolled) * self.steps.unrolled
            awaited = min([stop, *(callback.next_step(step) for callback in passing)])
            step = self.advance(step, min(whole, awaited), with_loss=shown or whole >= awaited)
            if step >= min(enough, stop):
                break  # here they act with all other callbacks
            for callback in passing:
                callback.act_if_due(self.trainer, self)
            if self.trainer.should_stop:
                break

    def _chunk_length(self) -> int:
        if self.inner_steps is not None:
            return self.inner_steps
        seconds = _CHUNK_SECONDS if self.shard.ranks == 1 else _CHUNK_SECONDS_TOGETHER
        return 1 if math.isnan(self.seconds_per_step) else max(1, int(seconds / self.seconds_per_step))

    def advance(self, start: int, stop: int, *, with_loss: bool) -> int:
        """Take the optimiser steps from one to another, which is returned, and note the losses of the last if asked."""
        self.between_chunks = False
        loss = self.steps(stop - start, self._draws(start), with_loss=with_loss)
        self.loss = self.loss if loss is None else loss
        count_steps(self.trainer, stop - start)
        self.between_chunks = True
        return stop

    def _draws(self, start: int) -> Draws:
        """Inputs and noise from a step on, for some of the instances held here."""
        numbers = self._draws_inputs * self.n_features + (self.noise_scale is not None) * self.n_hidden

        def make(steps: range, block: slice) -> tuple[Tensor | None, Tensor | None]:
            return self._draw(range(start + steps.start, start + steps.stop), block)

        return Draws(make, numbers * self.data.batch_size, self.data.device)

    @property
    def _draws_inputs(self) -> bool:
        return not self.data.every_feature_once or self.rows is not None

    def _draw(self, steps: range, block: slice) -> tuple[Tensor | None, Tensor | None]:
        """Inputs and noise of some steps for some of the instances held here."""
        data, x, noise, dtype = self._data_of(block), None, None, self.networks.W_enc.dtype
        if self._draws_inputs:
            x = self._of_rows(data.sample(data.keys("data", steps)).to(dtype).contiguous())
        if self.noise_scale is not None:
            noise = random.noise(data.keys("noise", steps), self.noise, data.batch_size, self.n_hidden)
            noise = self._of_rows(noise.to(dtype)).mul_(self.noise_scale[block])
        return x, noise

    def _data_of(self, block: slice) -> InputDataModule:
        held = range(self.ensemble.n_instances)[self.instances][block]
        return self.data.of(slice(held.start, held.stop))

    def _of_rows(self, draws: Tensor) -> Tensor:
        """The rows of a batch that this process computes."""
        return draws if self.rows is None else draws[..., self.rows.held, :].contiguous()

    def evaluation_inputs(self, batch: int, block: slice = slice(None)) -> Float[Tensor, "instance batch feature"]:
        """One batch of evaluation draws for instances held here, in the precision of the networks and where they are.

        At the end of a run Lightning has taken them back to main memory.
        """
        if self.data.keeps_evaluation_inputs:
            return self.data.evaluation_inputs(batch)[block].to(self.networks.W_enc)
        return self._data_of(block).evaluation_inputs(batch).to(self.networks.W_enc)

    @torch.no_grad()
    def evaluate(self, x: Float[Tensor, "instance batch feature"], networks: Autoencoder) -> dict[str, Tensor]:
        """Inputs, hidden activations, reconstructions and losses of some networks, without noise."""
        h, x_hat = self._responses(networks) if self._encodes_identity(networks) else networks(x)
        loss = networks.objective(x, h, x_hat) if networks.is_standard else networks.loss(x)
        return {"x": x, "h": h, "x_hat": x_hat, "loss": loss}

    def _encodes_identity(self, networks: Autoencoder) -> bool:
        return self.data.every_feature_once and networks.is_standard and networks.act == "linear"

    def _responses(self, networks: Autoencoder) -> tuple[Tensor, Tensor]:
        """Hidden activations and reconstructions of every feature once: the encoder itself, and what it decodes to."""
        W = networks.W_enc
        if networks.W_dec is not None or networks.b_dec is not None:
            return W, networks.decode(W)
        # Metrics ask for the same product, in double precision.
        return W, gram(W).relu().to(W.dtype)

    @override
    def validation_step(self, batch: int, batch_idx: int) -> None:
        pass  # the callback that writes the results measures what there is

    @override
    def test_step(self, batch: int, batch_idx: int) -> None:
        pass

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["polysemantic"] = {"format": CHECKPOINT_FORMAT, **self.identity(), **self._conditions()}

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        found = checkpoint.get("polysemantic", {})
        training = self.trainer.state.fn == "fit"
        check_identity(found, self.identity() | (self._conditions() if training else {}))
        self.trained_steps = checkpoint["global_step"]

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree on to hold weights of these networks."""
        return {
            "n_features": self.n_features,
            "n_hidden": self.n_hidden,
            "tied": self.tied,
            "bias": self.bias,
            "ensemble": self.ensemble.as_dict(),
            "seed": self.seed,
        }

    def _conditions(self) -> dict[str, Any]:
        """What a checkpoint must agree on to be trained on, or its run would end as no configuration makes it."""
        fixed = {name: value for name, value in self.numbers.items() if name not in self.ensemble.vary}
        return {
            "data": input_settings(self.data),
            "act": self.act,
            "noise": self.noise,
            **fixed,
            "clip_norm": self.clip_norm,
            "optimizer": optimizer_settings(self.optimizer),
            "lr_scheduler": schedule_settings(self.lr_scheduler, self.optimizer),
        }


def ensemble_module(pl_module: LightningModule) -> EnsembleModule:
    """The module that a Lightning hook is given, by its own type: every run of ours trains an `EnsembleModule`."""
    assert isinstance(pl_module, EnsembleModule)
    return pl_module
