from __future__ import annotations

import copy
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Float32, Float64
from lightning.pytorch import LightningDataModule
from torch import Tensor
from typing_extensions import override

from polysemantic import random
from polysemantic.data.possible import check_joint_form
from polysemantic.model.ensemble import Ensemble
from polysemantic.validation.arguments import checked_arguments
from polysemantic.validation.checks import check_at_least_one
from polysemantic.validation.user_classes import UserClassError

Magnitude = Literal["one", "uniform"]

# Evaluation draws, at least, and so many at a time that the calls cost less than what they do.
_EVALUATED, _EVALUATED_TOGETHER = 1024, 512


class _Chunks:
    """An endless dataloader: the module itself draws the inputs of each chunk, on its device."""

    def __iter__(self) -> Iterator[int]:
        while True:
            yield 0


class InputDataModule(LightningDataModule, ABC):
    """Inputs of an ensemble, drawn by key.

    A subclass stores each argument of its `__init__` under the argument's own name, checks it there, names in
    `can_vary` the numeric ones that may differ between instances, and implements `sample` and `cooccurrence`,
    reading such a number through `knob`. All its randomness comes from the keys that `sample` is given. Two draws with
    the same keys give the same numbers: a second draw takes `keys.fold(1)`, a third `keys.fold(2)`, and `activate`
    takes `keys.fold(0)`. Every run compares the first inputs of a class of the user's with what it declares
    (`agreement`); `testing.check_data_module` checks more, for tests.

    Args:
        n_features: Input coordinates.
        batch_size: Inputs of one optimiser step.
        magnitude: Value of an active feature: `one`, or `uniform` in (0, 1].

    Raises:
        ValueError: If a size is below 1 or `magnitude` is unknown.
    """

    can_vary: ClassVar[tuple[str, ...]] = ()
    min_features: ClassVar[int] = 1
    independent_inputs: ClassVar[bool] = True
    """Whether the inputs of all steps are independent draws; where not, no count is held against `cooccurrence`."""
    processes: int = 1
    """Processes that divide the batch of each step among them."""

    @checked_arguments()
    def __init__(self, n_features: int, batch_size: int = 256, magnitude: Magnitude = "one") -> None:
        super().__init__()
        check_at_least_one(n_features=n_features, batch_size=batch_size)
        names: object = self.can_vary
        if isinstance(names, str):
            raise ValueError(f"`can_vary` must be a tuple of names, got {names!r}.")
        if n_features < self.min_features:
            raise ValueError(f"`n_features` must be at least {self.min_features}, got {n_features}.")
        self.n_features = n_features
        self.batch_size = batch_size
        self.magnitude = magnitude
        self.bind(Ensemble(seeds=1))

    def bind(
        self,
        ensemble: Ensemble,
        seed: int = 0,
        instances: slice = slice(None),
        device: torch.device | str = "cpu",
    ) -> None:
        """Serve the instances of an ensemble, or a slice of them, with the draws of `seed` on a device.

        Raises:
            ValueError: If a varied value is none that this class accepts.
        """
        for point in ensemble.points:
            if varied := {name: value for name, value in point.items() if name in self.can_vary}:
                self.with_values(varied)
        self.ensemble = ensemble
        self.seed = seed
        self.device = torch.device(device)
        self._others: dict[range, InputDataModule] = {}
        self._serve(instances)

    def _serve(self, instances: slice) -> None:
        self._instances = instances
        self.seed_index = self.ensemble.seed_index[instances].to(self.device)
        # Made once: to make them takes as long as to draw from them.
        self._keys: dict[random.Stream, random.Keys] = {}
        self._evaluation_keys: random.Keys | None = None
        self._known_joint: Tensor | None = None

    def arguments(self) -> dict[str, Any]:
        """The arguments that make this DataModule, of those that it keeps under their own names."""
        names = self._argument_names()
        arguments = {name: getattr(self, name) for name in names if hasattr(self, name)}
        return arguments | ({"batch_size": self.batch_size // self.processes} if "batch_size" in names else {})

    def unkept_arguments(self) -> list[str]:
        """The arguments that it does not keep, so that `arguments` makes a DataModule of their defaults."""
        return [name for name in self._argument_names() if not hasattr(self, name)]

    def _argument_names(self) -> dict[str, None]:
        names: dict[str, None] = {}
        for base in type(self).__mro__:
            if base is LightningDataModule:
                break
            if "__init__" in vars(base):
                parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
                names |= {p.name: None for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
                # Only **kwargs hand further arguments on to the next class.
                if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                    break
        del names["self"]
        return names

    def with_values(self, values: Mapping[str, float]) -> InputDataModule:
        """A DataModule of the same arguments but for some values, bound to no ensemble yet.

        Raises:
            ValueError: If a value is none that this class accepts, or if it does not keep an argument that it needs.
        """
        try:
            return type(self)(**{**self.arguments(), **values})
        except TypeError as error:
            rule = "must keep each argument under the argument's own name"
            raise UserClassError(f"`{type(self).__name__}.__init__` {rule}, got {error}.") from error

    def divide(self, processes: int) -> None:
        """Serve a batch for each of several processes in one: inputs, noise and evaluation are then those of all."""
        self.batch_size = self.batch_size // self.processes * processes
        self.processes = processes

    def knob(self, name: str) -> Float64[Tensor, "instance 1 1"]:
        """A number that may vary, for each instance, ready to broadcast over (instance, batch, feature)."""
        if name in self.ensemble.vary:
            return self.ensemble.values(name)[self._instances].to(self.device)[:, None, None]
        return torch.full((self.n_instances, 1, 1), getattr(self, name), dtype=torch.float64, device=self.device)

    @property
    def n_instances(self) -> int:
        """Instances served here: those of the ensemble, or of this rank's slice."""
        return len(self.seed_index)

    @property
    def every_feature_once(self) -> bool:
        """Whether the inputs of each step are the identity matrix, which then need not be multiplied with."""
        return False

    @property
    def partition(self) -> Float[Tensor, " feature"] | None:
        """+1 or -1 for each feature if the inputs come from a two-part partition of the features."""
        return None

    @abstractmethod
    def sample(self, keys: random.Keys) -> Float32[Tensor, "*step instance batch feature"]:
        """Inputs for given keys, one batch for each instance (and step, if the keys have steps)."""

    @abstractmethod
    def cooccurrence(self) -> Float64[Tensor, "instance feature feature"]:
        """The exact P(i and j on); its diagonal is P(i on)."""

    def inputs(self, step: int) -> Float32[Tensor, "instance batch feature"]:
        """The inputs of any optimiser step, counted from 0."""
        return self.sample(self.keys("data", range(step, step + 1)))[0]

    def keys(self, stream: random.Stream, steps: range) -> random.Keys:
        """Keys of these instances for some steps of a stream."""
        if stream not in self._keys:
            self._keys[stream] = random.make_keys(self.seed, stream, self.seed_index)
        return self._keys[stream].at(steps)

    def activate(
        self, on: Bool[Tensor, "*step instance batch feature"], keys: random.Keys
    ) -> Float32[Tensor, "*step instance batch feature"]:
        """Values of the features that are on, by the law of `magnitude`."""
        if self.magnitude == "one":
            return on.view(torch.uint8).float()  # from bytes it takes a sixth of the time
        rows = on.shape[keys.values.ndim :]
        return random.uniform(keys.fold(0), *rows).add_(2.0**-24).mul_(on)

    def joint(self) -> Float64[Tensor, "instance feature feature"]:
        """`cooccurrence`, computed once and in the memory of one instance if all have the same; to be read alone.

        Raises:
            ValueError: If it is of another type, shape, precision or device.
        """
        if self._known_joint is None:
            joint = self.cooccurrence()
            shape, name = (self.n_instances, self.n_features, self.n_features), f"{type(self).__name__}.cooccurrence"
            check_joint_form(joint, shape, self.device, name)
            alike = bool((joint == joint[:1]).all())
            self._known_joint = joint[:1].clone().expand_as(joint) if alike else joint
        return self._known_joint

    def marginals(self) -> Float64[Tensor, "instance feature"]:
        """The exact P(i on)."""
        return self.joint().diagonal(dim1=-2, dim2=-1)

    @property
    def density(self) -> float:
        """The largest expected share of features that are on, over the whole ensemble."""
        return float(self.of(slice(None)).marginals().mean(-1).max())

    def of(self, instances: slice) -> InputDataModule:
        """The same inputs for some instances of the ensemble, whichever this process serves."""
        every = range(self.ensemble.n_instances)
        if every[instances] == every[self._instances]:
            return self
        if every[instances] not in self._others:
            other = self._others[every[instances]] = copy.copy(self)
            other._serve(instances)
        return self._others[every[instances]]

    def block(self, instances: slice) -> InputDataModule:
        """The same inputs for some of the instances that are served here."""
        here = range(self.ensemble.n_instances)[self._instances][instances]
        return self.of(slice(here.start, here.stop))

    def expected_companions(self) -> Float64[Tensor, "instance feature"]:
        r"""Expected number of features on beside feature i, :math:`\sum_{j \ne i} P(j \mid i)`; nan if P(i) = 0."""
        joint, marginals = self.joint(), self.marginals()
        return joint.sum(-1) / marginals - 1

    def phi(self) -> Float64[Tensor, "instance feature feature"]:
        r"""The exact correlation :math:`\phi_{ij}` of "i is on" and "j is on"; nan where a variance is 0."""
        joint, p = self.joint(), self.marginals()
        deviation = (p * (1 - p)).sqrt()
        phi = (joint - p.unsqueeze(-1) * p.unsqueeze(-2)) / (deviation.unsqueeze(-1) * deviation.unsqueeze(-2))
        return torch.where(phi.isfinite(), phi, math.nan)

    @override
    def train_dataloader(self) -> _Chunks:
        return _Chunks()

    @override
    def val_dataloader(self) -> range:
        return range(self.evaluation_batches)

    @override
    def test_dataloader(self) -> range:
        return range(self.evaluation_batches)

    @property
    def evaluation_batches(self) -> int:
        """Batches of the evaluation draws: at least 1024 inputs, or one batch if each batch is every input."""
        return -(-self._evaluation_steps // self._steps_together)

    @property
    def evaluation_rows(self) -> int:
        """Inputs of an evaluation batch; of several the last may have fewer."""
        return min(self._steps_together, self._evaluation_steps) * self.batch_size

    @property
    def evaluation_size(self) -> int:
        """Inputs of all evaluation batches."""
        return self._evaluation_steps * self.batch_size

    @property
    def _evaluation_steps(self) -> int:
        return 1 if self.every_feature_once else -(-_EVALUATED // self.batch_size)

    @property
    def _steps_together(self) -> int:
        return max(1, _EVALUATED_TOGETHER // self.batch_size)

    def evaluation_inputs(self, batch: int) -> Float32[Tensor, "instance batch feature"]:
        """One batch of the inputs that measurements are taken on, the same at every step; of several steps if small."""
        keys, length = self._evaluation_keys, self._steps_together
        if keys is None or len(keys.values) != self._evaluation_steps:
            keys = self._evaluation_keys = self.keys("evaluation", range(self._evaluation_steps))
        inputs = self.sample(keys[batch * length : (batch + 1) * length])
        return inputs[0] if len(inputs) == 1 else inputs.transpose(0, 1).flatten(1, 2)
