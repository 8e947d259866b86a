import ast
from pathlib import Path

TESTS = Path(__file__).parent
SHARED = ("tests.reference", "tests.support")


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
    package = TESTS.parent / "polysemantic"
    rooms = {path.parent.relative_to(package).as_posix() for path in package.rglob("__init__.py")}
    # Faults and browsers strike whole runs and pages; the others lie beside the package.
    beside = {"faults", "browser", "benchmarks", "findings", "examples", "docs", "support", "reference"}
    folders = {path.parent.relative_to(TESTS).as_posix() for path in TESTS.rglob("*.py")}
    assert folders - beside - rooms == set()
