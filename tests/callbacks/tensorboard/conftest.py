import pytest

import polysemantic
from polysemantic.callbacks import Snapshots
from polysemantic.data import IndependentBernoulli
from polysemantic.model.ensemble import Ensemble


@pytest.fixture(scope="package")
def run(tmp_path_factory):
    """Untied networks that vary L1."""
    return polysemantic.fit(
        IndependentBernoulli(6, 0.2, batch_size=32),
        ensemble=Ensemble(seeds=3, vary={"l1": [0.001, 0.01]}),
        n_hidden=10,
        tied=False,
        max_steps=40,
        snapshots=Snapshots(),
        trainer={"default_root_dir": str(tmp_path_factory.mktemp("drawn")), "enable_progress_bar": False},
    )


@pytest.fixture(scope="package")
def single(tmp_path_factory):
    """One network without snapshots."""
    return polysemantic.fit(
        IndependentBernoulli(4, 0.2, batch_size=8),
        ensemble=Ensemble(seeds=1),
        n_hidden=4,
        max_steps=2,
        snapshots=Snapshots(instances=[]),
        trainer={"default_root_dir": str(tmp_path_factory.mktemp("single")), "enable_progress_bar": False},
    )
