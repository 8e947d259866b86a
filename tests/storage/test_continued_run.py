import pytest
import yaml

from polysemantic.storage.continued_run import newest_run


def write_run(root, name, config):
    """A run directory with a checkpoint and a configuration as text."""
    run = root / "lightning_logs" / name
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints/last.ckpt").touch()
    (run / "config.yaml").write_text(config)


def test_the_newest_run_is_none_of_the_copies_beside_it(tmp_path):
    for name in ("version_9", "version_10", "version_9_backup", "version_", "version_²"):
        write_run(tmp_path, name, "model: {}")
    assert newest_run(tmp_path, "model: {}").name == "version_10"


@pytest.mark.parametrize(
    "text", ["", "- 1", "model: 1", "trainer: [1]", "model: [", "!!python/object:os.system x", "\x00"]
)
def test_the_newest_run_is_found_beside_files_that_are_no_configurations_wherever_it_lies(tmp_path, text):
    for name, content in (("version_0", "model: {}\ntrainer: {default_root_dir: elsewhere}"), ("version_1", text)):
        write_run(tmp_path, name, content)
    assert newest_run(tmp_path, "model: {}\ntrainer: {enable_progress_bar: false}").name == "version_0"


@pytest.mark.parametrize("earlier", [{}, {"compile": "auto"}, {"engine": "threaded", "kernels": "torch"}])
@pytest.mark.parametrize("later", [{}, {"engine": "auto", "kernels": "auto"}, {"engine": "eager", "kernels": "torch"}])
def test_the_newest_run_is_the_same_by_whichever_engine_it_was_computed(tmp_path, earlier, later):
    write_run(tmp_path, "version_0", yaml.safe_dump({"model": {"l1": 0.1} | earlier}))
    write_run(tmp_path, "version_1", yaml.safe_dump({"model": {"l1": 0.2} | later}))
    assert newest_run(tmp_path, yaml.safe_dump({"model": {"l1": 0.1} | later})).name == "version_0"
