import pytest

from tests.support.small_runs import make_sweep, small_grid, small_one_hot


@pytest.fixture(scope="session")
def grid(tmp_path_factory):
    return small_grid(tmp_path_factory.mktemp("grid"))


@pytest.fixture(scope="session")
def one_hot(tmp_path_factory):
    return small_one_hot(tmp_path_factory.mktemp("one_hot"))


@pytest.fixture(scope="session")
def sweep(grid, tmp_path_factory):
    wide = small_grid(tmp_path_factory.mktemp("wide"), n_hidden=16)
    root = tmp_path_factory.mktemp("sweeps") / "widths"
    axes = [{"model.n_hidden": m, "trainer.devices": 1 + at} for at, m in enumerate((12, 16))]
    return make_sweep(root, [grid, wide], axes)
