import math

import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer
from torch.optim import Adam

import polysemantic
from polysemantic.callbacks import Convergence, Measurements
from polysemantic.data import OneHot
from polysemantic.model.ensemble import Ensemble
from polysemantic.training.module import EnsembleModule
from tests import reference
from tests.support.tables import without_run

COUNTS = ["polysemantic_neurons", "collisions_opposite_sign", "collisions_same_sign", "coverage", "carriers"]


class Planted:
    """A module whose weights follow a planted history, from one encoder a step and, if untied, one decoder a step."""

    def __init__(self, W_enc, W_dec=None, ensemble=None, **options):
        _, n_instances, n_features, n_hidden = W_enc.shape
        self.W_enc, self.W_dec = W_enc, W_dec
        self.module = EnsembleModule(
            n_features, n_hidden, ensemble or Ensemble(n_instances), tied=W_dec is None, **options
        )

    def attach(self, trainer):
        self.module.trainer = trainer
        trainer.datamodule = OneHot(self.module.n_features)

    @torch.no_grad()
    def at(self, step):
        self.module.networks.W_enc.copy_(self.W_enc[step])
        if self.W_dec is not None:
            self.module.networks.W_dec.copy_(self.W_dec[step])


class PlantedTrainer(Trainer):
    """A trainer that is told its step."""

    global_step = 0

    def __init__(self, max_steps=1000, rate=0.1):
        super().__init__(max_steps=max_steps, accelerator="cpu", logger=False, enable_checkpointing=False)
        self.optimizers = [Adam([torch.zeros(1)], lr=rate)]


def follow(callback, planted, state=None, until=None):
    """Show a callback a planted history, from where `state` left off, and give the last step it saw."""
    last = len(planted.W_enc) - 1
    trainer, module = PlantedTrainer(last), planted.module
    planted.attach(trainer)
    callback.setup(trainer, module, "fit")
    if state is not None:
        callback.load_state_dict(state)
        trainer.global_step = state["last_act"]
    planted.at(trainer.global_step)
    callback.on_train_start(trainer, module)
    while trainer.global_step < (until or last) and not trainer.should_stop:
        trainer.global_step = min(callback.next_step(trainer.global_step), until or last)
        planted.at(trainer.global_step)
        callback.on_train_batch_end(trainer, module, None, None, 0)
    callback.on_train_end(trainer, module)
    return trainer.global_step


def histories(n_instances, n_steps=300):
    """Weights that wander ever less on the way to one neuron each; every fourth instance never gets there."""
    n, m = 4, 6
    target, noise = torch.eye(n, m), torch.randn(n_steps + 1, n_instances, n, m)
    target = torch.where((torch.arange(n_instances) % 4 == 3).view(-1, 1, 1), torch.full((n, m), 0.4), target)
    speed = torch.linspace(0.02, 0.2, n_instances).view(-1, 1, 1)
    decay = torch.exp(-speed * torch.arange(n_steps + 1).view(-1, 1, 1, 1))
    return target + decay * (torch.randn(n_instances, n, m) - target) + 0.1 * decay * noise


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_steps": 171},
        {"n_checks": 4},
        {"max_change": 0.1, "tolerance": 0.1},
        {"min_privilege": 0.0},
        {"n_checks": 1, "tolerance": 1e9, "max_change": 1e9},
    ],
)
@pytest.mark.parametrize("interval", [1, 3, 10, 17])
def test_converged_steps_are_those_of_a_literal_loop(interval, options):
    history, callback = histories(12), Convergence(interval, **options)
    planted = Planted(history, ensemble=Ensemble(4, {"l1": [0.1, 0.0, 0.2]}))
    follow(callback, planted)
    l1 = planted.module.number("l1")
    expected = [reference.converged_step(history[:, k], interval, l1[k].item(), **options) for k in range(12)]
    assert len(set(expected)) > 2
    assert callback.converged_step.tolist() == [-1 if step is None else step for step in expected]
    assert (callback.diverged_step == -1).all()


def test_a_decoder_that_still_moves_keeps_an_untied_instance_moving():
    history = torch.eye(3).expand(101, 2, 3, 3)
    W_dec = history.clone()
    W_dec[:, 1, 0, 1] = torch.arange(101) % 20 / 100
    callback = Convergence(10)
    follow(callback, Planted(history, W_dec, l1=0.0))
    assert callback.converged_step.tolist() == [30, -1]


@pytest.mark.parametrize("until", [4, 10, 64, 65, 123])
def test_a_continued_history_is_judged_as_a_whole_one(until, tmp_path):
    planted = Planted(histories(8), l1=0.1)
    whole, first, second = Convergence(10), Convergence(10), Convergence(10)
    follow(whole, planted)
    follow(first, planted, until=until)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    follow(second, planted, torch.load(tmp_path / "state.pt", weights_only=True))
    torch.testing.assert_close(second.state_dict(), whole.state_dict(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(("every", "converged"), [(None, 15), (7, 28)])
def test_a_run_that_is_continued_for_longer_compares_nothing_across_another_interval(every, converged):
    at_rest = torch.ones(2001, 1, 2, 2)
    first, second = Convergence(), Convergence(every)
    follow(first, Planted(at_rest[:11], l1=0.0))
    follow(second, Planted(at_rest, l1=0.0), first.state_dict())
    assert second.converged_step.tolist() == [converged]


def test_the_run_ends_at_the_check_that_finds_the_last_instance_converged():
    planted, callback = Planted(histories(12)[:, 4:7], l1=0.1), Convergence(10, stop=True)
    assert follow(callback, planted) == callback.converged_step.max() < 300
    assert follow(Convergence(10), planted) == 300


def first_check(callback, **options):
    """The first step of a check, the fifth that the callback waits for."""
    trainer, planted = PlantedTrainer(**options), Planted(torch.zeros(1, 1, 2, 2), l1=0.0)
    planted.attach(trainer)
    callback.setup(trainer, planted.module, "fit")
    planted.at(0)
    callback.on_train_start(trainer, planted.module)
    steps = [0]
    for _ in range(5):
        steps.append(callback.next_step(steps[-1]))
    return steps[1:]


def test_checks_come_at_half_the_inverse_of_the_learning_rate_but_a_hundred_times_at_most():
    assert first_check(Convergence(), rate=1e-3) == [100, 200, 300, 400, 500]
    assert first_check(Convergence(), rate=1e-2)[-1] == 50
    assert first_check(Convergence(), rate=1e-2, max_steps=10_000)[-1] == 100
    assert first_check(Convergence(), rate=0.0)[-1] == 10
    assert first_check(Convergence(40), rate=1e-3) == [8, 16, 24, 32, 40]
    # Of a long run at a hundredth of it, but where collisions are observed, every tenth over the rate.
    assert first_check(Convergence(), rate=1e-3, max_steps=84_000) == [200, 400, 600, 800, 1000]


def fit(tmp_path, max_steps=1500, **options):
    """A run that converges: 8 features on 8 neurons, checked every 50 steps."""
    given = {"n_hidden": 8, "l1": 0.1, "optimizer": adam, "measurements": Measurements(100)}
    given |= {"ensemble": Ensemble(3), "trainer": {"default_root_dir": str(tmp_path)}}
    return polysemantic.fit(OneHot(8), max_steps=max_steps, **given | options)


def adam(parameters):
    return torch.optim.AdamW(parameters, lr=0.01)


def files(run):
    return {path.name for path in run.directory.iterdir() if not path.name.startswith("events")}


@pytest.mark.usefixtures("unchecked")
def test_stopping_early_gives_the_counts_of_the_whole_run_and_every_file(tmp_path):
    whole = fit(tmp_path)
    stopped = fit(tmp_path, convergence=Convergence(stop=True))
    step = stopped.results["step"].iloc[0]
    assert step < 1500
    assert stopped.results["converged_step"].max() == step
    pd.testing.assert_series_equal(stopped.results["converged_step"], whole.results["converged_step"])
    pd.testing.assert_frame_equal(stopped.results[COUNTS], whole.results[COUNTS])
    assert stopped.history["step"].max() == step
    assert max(stopped.weights) == step
    assert files(stopped) == files(whole)
    saved = torch.load(stopped.directory / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == step


@pytest.mark.slow
def test_a_stopped_run_trains_no_further_when_continued_unless_told_to(tmp_path):
    stopped = fit(tmp_path, convergence=Convergence(stop=True))
    last = stopped.directory / "checkpoints" / "last.ckpt"
    again = fit(tmp_path, convergence=Convergence(stop=True), ckpt_path=last)
    pd.testing.assert_frame_equal(without_run(again.results), without_run(stopped.results))
    onwards = fit(tmp_path, ckpt_path=last)
    assert (onwards.results["step"] == 1500).all()
    pd.testing.assert_frame_equal(without_run(onwards.results), without_run(fit(tmp_path).results))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("inner_steps", [7, None])
def test_a_continued_run_converges_where_a_whole_one_does(tmp_path, inner_steps):
    options = {"inner_steps": inner_steps}
    whole = fit(tmp_path, convergence=Convergence(50), **options)
    part = fit(tmp_path, 333, convergence=Convergence(50), **options)
    assert part.results["converged_step"].isna().all()
    last = part.directory / "checkpoints" / "last.ckpt"
    continued = fit(tmp_path, convergence=Convergence(50), ckpt_path=last, **options)
    assert whole.results["converged_step"].notna().all()
    pd.testing.assert_frame_equal(without_run(continued.results), without_run(whole.results))


def test_what_never_comes_to_rest_has_no_converged_step(tmp_path):
    results = fit(tmp_path, 200, optimizer=lambda p: torch.optim.SGD(p, lr=1e-5), convergence=Convergence(10)).results
    # Still, but on a plateau: trained under L1, without a basis.
    assert results["converged_step"].isna().all()
    assert str(results["converged_step"].dtype) == "Int64"


def test_without_l1_and_noise_a_basis_is_not_waited_for(tmp_path):
    options = {"optimizer": lambda p: torch.optim.SGD(p, lr=1e-5), "convergence": Convergence(10, stop=True)}
    assert (fit(tmp_path, 200, l1=0.0, **options).results["converged_step"] == 30).all()


def test_the_command_line_takes_the_options(run_cli):
    answer = run_cli("fit", "--data", "OneHot", "--data.n_features", 8, "--model.n_hidden", 8, "--model.l1", 0.0,
                     "--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", 1e-5, "--trainer.max_steps", 400,
                     "--convergence.every_n_steps", 10, "--convergence.stop", "true")  # fmt: skip
    assert answer.status == 0
    assert (polysemantic.load("lightning_logs/version_0").results["step"] == 30).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_checks": 0}, "`n_checks` must be at least 1, got 0."),
        ({"min_steps": -1}, "`min_steps` must be at least 0 and finite, got -1."),
        ({"tolerance": -0.1}, "`tolerance` must be at least 0 and finite, got -0.1."),
        ({"max_change": math.nan}, "`max_change` must be at least 0 and finite, got nan."),
    ],
)
def test_bad_options_are_refused_in_one_sentence(options, sentence):
    with pytest.raises(ValueError, match="must") as refusal:
        Convergence(**options)
    assert str(refusal.value) == sentence
