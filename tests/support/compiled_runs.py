"""Compiled runs in a process of its own: `python -m tests.support.compiled_runs DIRECTORY`; raises if they differ."""

import os
import sys
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

import polysemantic
from polysemantic import Run
from polysemantic.callbacks import Measurements
from polysemantic.data import OneHot
from polysemantic.engine.compiled import CompiledEngine
from polysemantic.model.ensemble import Ensemble
from polysemantic.storage.checkpoints import read_checkpoint
from tests.support.ranks import launch

STEPS = 40


class Interrupt(Callback):
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if trainer.global_step >= STEPS // 2:
            raise InterruptedError


def fit(root: Path, ckpt_path: str | None = None, *callbacks: Callback, devices: int = 1) -> Run:
    return polysemantic.fit(
        OneHot(n_features=4),
        ensemble=Ensemble(seeds=4),
        n_hidden=8,
        noise_std=0.1,
        max_steps=STEPS,
        engine="compiled",
        inner_steps=4,
        measurements=Measurements(every_n_steps=10),
        ckpt_path=ckpt_path,
        callbacks=list(callbacks),
        trainer={"default_root_dir": str(root), "accelerator": "cpu", "enable_progress_bar": False, "devices": devices},
    )


def on_ranks(root: Path) -> None:
    torch.set_num_threads(1)
    fit(root, devices=2)


def weights(root: Path) -> torch.Tensor:
    (checkpoint,) = root.glob("lightning_logs/version_0/checkpoints/last.ckpt")
    W_enc: torch.Tensor = read_checkpoint(checkpoint)["state_dict"]["autoencoder.W_enc"]
    return W_enc


def main(directory: Path) -> None:
    torch.set_num_threads(1)
    CompiledEngine.unrolled = 2  # a graph of 32 steps takes longer to compile
    # First, as a fork must not find the compiler's threads.
    launch(2, directory / "ranks", on_ranks, directory / "ranks")
    fit(directory / "whole")
    try:
        fit(directory / "resumed", None, Interrupt())
    except InterruptedError:
        fit(directory / "resumed", ckpt_path="last")
    assert torch.equal(weights(directory / "whole"), weights(directory / "resumed")), "resumed"
    assert torch.equal(weights(directory / "whole"), weights(directory / "ranks")), "ranks"


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main(Path(sys.argv[1]))
