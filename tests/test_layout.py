import ast
from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "polysemantic"
SHARED = ("tests.reference", "tests.support")
# Faults and browsers strike whole runs and pages; the others lie beside the package.
BESIDE = {"faults", "browser", "benchmarks", "findings", "examples", "docs", "support", "reference"}
# Tests named after a question that one module alone does not answer. All others are named after a module or a room.
QUESTIONS = {
    "test_layout": "the tests themselves",
    "test_package": "the public names of the package, and what importing it costs",
    "callbacks/test_costly_measurements": "`costly` and `rotation_gap` within a run",
    "callbacks/test_divergence": "what every callback does about a network that diverges",
    "cli/test_configuration": "files of options, overrides and the resolved configuration",
    "cli/test_errors": "the one line that refuses an option, from every room",
    "cli/test_errors_of_files": "the one line that refuses a file or a user's class",
    "cli/test_help": "help, and what it costs",
    "cli/test_interrupts": "Ctrl-C",
    "cli/test_python": "`api`, against the command line",
    "cli/test_replaced_options": "options of earlier versions",
    "cli/test_terminal": "what a terminal shows: tables, progress, encodings",
    "data/test_arguments": "the arguments of every distribution",
    "data/test_contract": "what every distribution must keep",
    "distributed/test_ranks": "runs of several processes, by every strategy",
    "engine/test_gpu": "what holds on a CPU, repeated on an accelerator",
    "functional/basis/test_rotation_gap_closed_form": "`rotation_gap`, by algebra in place of samples",
    "kernels/test_extension": "`native.extension`",
    "metrics/test_planted": "every metric on weights of which the answer is known",
    "metrics/test_planted_inputs": "the same for metrics that take inputs",
    "report/test_against": "`sections.against`",
    "report/test_diverged": "every section where networks diverged",
    "report/test_lives": "`sections.lives` and `sections.survival`",
    "sweep/test_going_on": "sweeps that are continued",
    "sweep/test_ray": "`ray_engine` and `ray_worker`, on a cluster",
    "training/test_chunks": "`loop`: chunks of steps, and callbacks between them",
    "training/test_equalities": "which runs must end with equal bits",
}


def imported(path):
    """The full name of every module, and of every name within one, that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_tests_share_helpers_only_through_the_support_folder_and_the_reference():
    for path in TESTS.rglob("*.py"):
        for name in imported(path):
            assert not name.startswith("tests.") or name.startswith(SHARED), f"{path} imports {name}"
            assert ".test_" not in name, f"{path} imports {name}"


def test_every_folder_of_tests_is_a_package():
    for path in TESTS.rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), path


def test_the_folders_of_tests_are_those_of_what_they_test():
    rooms = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("__init__.py")}
    folders = {path.parent.relative_to(TESTS).as_posix() for path in TESTS.rglob("*.py")}
    assert folders - BESIDE - rooms == set()


def is_named_after_what_it_tests(name):
    """Whether a test has the name of a module in the same place, of a room there, or of its own room."""
    folder, _, file = name.rpartition("/")
    tested = file.removeprefix("test_")
    place = PACKAGE / folder
    return (place / f"{tested}.py").exists() or (place / tested).is_dir() or tested == place.name


def test_every_test_is_named_after_a_module_or_room_or_answers_a_question_that_is_listed():
    found = {path.relative_to(TESTS).with_suffix("").as_posix() for path in TESTS.rglob("test_*.py")}
    named = {name for name in found if name.partition("/")[0] in BESIDE or is_named_after_what_it_tests(name)}
    assert found - named == set(QUESTIONS)
