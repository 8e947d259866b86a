from __future__ import annotations

import pkgutil
import sys
from pathlib import Path
from typing import Any

from jsonargparse import ActionYesNo, set_parsing_settings
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf.errors import OmegaConfBaseException
from typing_extensions import override

import polysemantic.data  # noqa: F401  its classes are then known by their bare names
from polysemantic.cli.class_change import discard_init_args_on_class_change
from polysemantic.cli.error_line import print_error
from polysemantic.cli.explanations import explain
from polysemantic.cli.messages import no_resolution
from polysemantic.cli.options import CALLBACKS, LINKED, NEEDED
from polysemantic.cli.parser import OneLineParser
from polysemantic.data import InputDataModule
from polysemantic.distributed import check_ranks
from polysemantic.model.ensemble import Ensemble
from polysemantic.runtime.faults import explain_fault
from polysemantic.runtime.memory import check_memory
from polysemantic.runtime.standard_callbacks import standard_callbacks
from polysemantic.runtime.trainer import build_trainer
from polysemantic.storage.continued_run import continued_run
from polysemantic.training.module import EnsembleModule
from polysemantic.validation.checks import check_seed
from polysemantic.validation.user_classes import UserClassError

set_parsing_settings(omegaconf_absolute_to_relative_paths=True)


class PolysemanticCLI(LightningCLI):
    """`fit`, `validate` and `test` from a configuration file and options.

    Args:
        args: Command line arguments, or the options as a mapping; None for the arguments of the process.
        directory: The run directory of a fit; None for that of `ckpt_path`, or else the next `version_N`.
    """

    def __init__(self, args: list[str] | dict[str, Any] | None = None, directory: Path | None = None) -> None:
        self.run_directory = directory
        self._command = args["subcommand"] if isinstance(args, dict) else (args or sys.argv[1:])[0]
        super().__init__(
            EnsembleModule,
            InputDataModule,
            save_config_callback=None,
            subclass_mode_data=True,
            parser_class=OneLineParser,
            parser_kwargs={"parser_mode": "omegaconf+", "prog": "python -m polysemantic", "allow_abbrev": False},
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
            args=args,
        )

    @override
    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        # The parser of one command alone, as each takes half a second to make.
        ours = {"model", "dataloaders", "train_dataloaders", "val_dataloaders", "datamodule", "weights_only", "verbose"}
        return {self._command: ours}

    @override
    def add_default_arguments_to_parser(self, parser: Any) -> None:
        parser.usage = f"python -m polysemantic {self._command} [--config FILE] [--OPTION VALUE ...]"
        parser.add_argument("--seed_everything", type=int, default=0, help="Root of all random draws.")
        only = "Print nothing but warnings and errors."
        parser.add_argument("--quiet", action=ActionYesNo, nargs="?", default=False, help=only)

    @override
    def add_core_arguments_to_parser(self, parser: Any) -> None:
        # In this order `--help` lists them.
        parser.add_lightning_class_args(EnsembleModule, "model")
        parser.add_lightning_class_args(InputDataModule, "data", subclass_mode=True)
        parser.add_class_arguments(Ensemble, "ensemble")
        parser.add_lightning_class_args(Trainer, "trainer")
        for name in NEEDED:
            parser.require(name)

    @override
    def add_arguments_to_parser(self, parser: Any) -> None:
        for key, path in CALLBACKS.items():
            parser.add_lightning_class_args(pkgutil.resolve_name(path), key)
        for target, source in LINKED.items():
            if source == "seed_everything":
                parser.link_arguments(source, target, compute_fn=check_seed)
            else:
                parser.link_arguments(source, target, apply_on="instantiate")

    @override
    def parse_arguments(self, *args: Any) -> None:
        with discard_init_args_on_class_change():
            super().parse_arguments(*args)

    @override
    def _parse_ckpt_path(self) -> None:
        """A checkpoint brings weights; options come from the configuration and the command line alone."""

    @override
    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        check_ranks(self.trainer, self.model.ensemble)
        if self.subcommand == "fit":
            check_memory(self.trainer, self.model, self.datamodule.batch_size)

    @override
    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        options = {**self._get(self.config_init, "trainer", default={}), **kwargs}
        config = self.config[self.subcommand].clone()
        path = config.pop("ckpt_path", None)
        quiet = config.pop("quiet", False)
        text = self._parser(self.subcommand).dump(config, skip_none=False)
        root = Path(options.get("default_root_dir") or ".")
        fits = self.subcommand == "fit"
        directory = self.run_directory if fits else None
        if path is None and not fits:
            raise ValueError("`ckpt_path` must be a checkpoint to measure, or `last`, got none.")
        if path == "last" or (fits and path is not None):
            continued = continued_run(path, root, text, training=fits)
            self.config_init[self.subcommand]["ckpt_path"] = str(continued.checkpoint)
            directory = directory or (continued.directory if fits else None)
        configured = {key: self._get(self.config_init, key) for key in CALLBACKS}
        *first, last = standard_callbacks(**configured, config=text, quiet=quiet)
        users = options.pop("callbacks", None) or []
        callbacks = [*first, *(users if isinstance(users, list) else [users]), last]
        return build_trainer(callbacks, directory, logged=self.subcommand != "validate", **options)


def run(args: list[str] | None) -> int:
    """Run a command line whose options are in order, and give the exit status; see `main.main`."""
    try:
        PolysemanticCLI(args)
    except SIGTERMException:
        return 143
    except OmegaConfBaseException as error:
        return print_error(no_resolution(error))
    except (ValueError, OSError, MemoryError, RuntimeError, MisconfigurationException) as error:
        if (fault := explain_fault(error)) is not None:
            print_error(fault)
            return 1
        if isinstance(error, UserClassError):
            notes = getattr(error, "__notes__", [])
            return print_error("; ".join([str(error).removesuffix("."), *notes]) if notes else str(error))
        # Errors with the note of a run were raised while it trained (`ExceptionNotes`): they are not input errors.
        if hasattr(error, "__notes__") or isinstance(error, RuntimeError):
            raise
        return print_error(explain(str(error)))
    return 0
