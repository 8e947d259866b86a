from pathlib import Path

from lightning.pytorch import Trainer

from polysemantic import EnsembleModule
from polysemantic.callbacks import StepCallback


class Diary(StepCallback):
    """Writes the mean loss to `diary.txt` in the run directory."""

    def act(self, trainer: Trainer, module: EnsembleModule) -> None:
        if module.loss is not None and trainer.is_global_zero:
            with (Path(trainer.log_dir) / "diary.txt").open("a") as file:
                file.write(f"step {trainer.global_step}: loss {module.loss.mean():.4g}\n")
