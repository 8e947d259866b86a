import pytest
import torch
from jaxtyping import install_import_hook

# Shapes and types of every annotated function are checked while the tests run.
install_import_hook("polysemantic", "beartype.beartype")


@pytest.fixture(autouse=True)
def _names_of_doctests(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace["torch"] = torch
