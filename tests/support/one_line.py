"""What the tests of bad input share: small fits by the command, and the one line that refuses one."""

from typing import Any

ONE_HOT = ["fit", "--data=OneHot", "--data.n_features=8"]
BERNOULLI = ["fit", "--data=IndependentBernoulli", "--data.n_features=8", "--data.probability=0.3"]
SCHEDULES = "torch.optim.lr_scheduler"
STEP_LR = f"--model.lr_scheduler={SCHEDULES}.StepLR"
REST = ["--model.n_hidden=6", "--ensemble.seeds=2", "--trainer.max_steps=3", "--measurements.every_n_steps=100"]


def assert_one_line(answer: Any, *words: str) -> None:
    """A refusal says nothing but one line of error, which holds these words."""
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert answer.err.endswith("\n")
    assert answer.err.count("\n") == 1
    for word in words:
        assert word in answer.err
