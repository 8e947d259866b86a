import functools
import subprocess

import pytest

from polysemantic.kernels.native import extension


@pytest.fixture
def compile_again(monkeypatch, tmp_path):
    """Compile splitmix64.cpp as another process would, and tell how often the compiler ran."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    run, ran = subprocess.run, []

    def counted(command, **options):
        ran.extend(["compiled"] * ("-shared" in command))  # torch asks the compiler whether it is one
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", counted)

    def again(instructions=()):
        library = functools.cache(extension.compiled.__wrapped__)("splitmix64.cpp", instructions)
        if library is None:
            pytest.skip("needs a C++ compiler")
        assert library.random_bits
        return len(ran)

    return again


def test_what_was_compiled_once_is_there_for_the_next_process_that_asks_for_the_same(compile_again, tmp_path):
    assert compile_again() == 1
    assert compile_again() == 1
    assert compile_again(("sse3",)) == 2
    kept = list((tmp_path / "polysemantic").iterdir())
    assert [path.suffix for path in kept] == [".so", ".so"]
    assert not (tmp_path / "polysemantic").stat().st_mode & 0o077


@pytest.mark.parametrize("open_to_all", [".", "polysemantic"])
def test_nothing_is_run_from_where_others_may_write(open_to_all, compile_again, tmp_path):
    (tmp_path / "polysemantic").mkdir()
    (tmp_path / open_to_all).chmod(0o777)
    assert [compile_again(), compile_again()] == [1, 2]
    assert not list((tmp_path / "polysemantic").iterdir())


def test_without_a_place_to_keep_it_each_process_compiles_for_itself(compile_again, tmp_path):
    (tmp_path / "polysemantic").write_text("no directory")
    assert [compile_again(), compile_again()] == [1, 2]
