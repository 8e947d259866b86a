from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.cases import Case
from benchmarks.clock import device, on_cpu

# Or JAX takes most of a GPU's memory as it starts.
os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"

import jax
import jax.numpy as jnp
import optax

# By itself JAX takes a GPU wherever there is one, and multiplies in TF32 there.
if on_cpu():
    jax.config.update("jax_platforms", "cpu")
else:
    jax.config.update("jax_default_matmul_precision", "highest")

_Draws = tuple[jax.Array | None, jax.Array | None]


class JaxLoop:
    """JAX with optax: the whole loop jitted, scanned over steps, draws by jax.random.

    Args:
        case: What to train.
        W: Initial weights, shape (instance, feature, hidden).
    """

    name = "jax"

    def __init__(self, case: Case, W: Tensor) -> None:
        self.case = case
        if case.sgd:
            self.optimizer = optax.sgd(case.learning_rate)
        else:
            self.optimizer = optax.adamw(case.learning_rate, weight_decay=case.weight_decay)
        # A copy: the array's memory is donated to the loop.
        weights = jnp.array(W.cpu().numpy(), copy=True)
        self.state = (weights, self.optimizer.init(weights))
        self.key = jax.random.key(0)

    @staticmethod
    def has_device() -> bool:
        """Whether JAX finds what it is to be trained on."""
        return bool((jax.default_backend() == "cpu") == on_cpu())

    def run(self, steps: int) -> None:
        """Train for some steps; each number of steps is compiled once."""
        self.key, key = jax.random.split(self.key)
        self.state = jax.block_until_ready(self._train(self.state, key, steps))

    def follow(self, x: Tensor | None, noise: Tensor | None, steps: int) -> Tensor:
        """Train on given draws, (step, instance, batch, ...), and give the weights."""
        given = tuple(None if drawn is None else jnp.array(drawn.cpu().numpy()) for drawn in (x, noise))
        self.state = self._train_on(self.state, given, steps)
        return torch.tensor(np.asarray(self.state[0]), device=device())

    @functools.partial(jax.jit, static_argnums=(0, 3), donate_argnums=1)
    def _train(self, state: Any, key: jax.Array, steps: int) -> Any:
        keys = jax.random.split(key, steps) if self.case.batch is not None or self.case.noise_std else None
        return jax.lax.scan(lambda at, key: (self._step(at, self._draw(key)), None), state, keys, steps)[0]

    @functools.partial(jax.jit, static_argnums=(0, 3), donate_argnums=1)
    def _train_on(self, state: Any, given: _Draws, steps: int) -> Any:
        return jax.lax.scan(lambda at, draws: (self._step(at, draws), None), state, given, steps)[0]

    def _draw(self, key: jax.Array | None) -> _Draws:
        case, x, noise = self.case, None, None
        if case.batch is not None:
            key, of_inputs = jax.random.split(key)
            shape = (case.instances, case.batch, case.features)
            x = jax.random.bernoulli(of_inputs, case.probability, shape).astype(jnp.float32)
        if case.noise_std:
            noise = case.noise_std * jax.random.rademacher(key, (case.instances, case.rows, case.hidden), jnp.float32)
        return x, noise

    def _step(self, state: Any, draws: _Draws) -> Any:
        W, memory = state
        gradient = jax.grad(self._loss)(W, *draws)
        updates, memory = self.optimizer.update(gradient, memory, W)
        return optax.apply_updates(W, updates), memory

    def _loss(self, W: jax.Array, x: jax.Array | None, noise: jax.Array | None) -> jax.Array:
        h = W if x is None else jnp.einsum("ibf,ifh->ibh", x, W)
        z = h if noise is None else h + noise
        x_hat = jax.nn.relu(jnp.einsum("ibh,ifh->ibf", z, W))
        error = x_hat - (jnp.eye(W.shape[1]) if x is None else x)
        return (jnp.square(error).sum() + self.case.l1 * jnp.abs(h).sum()) / h.shape[1]
