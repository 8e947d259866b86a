import pytest
import torch
from jaxtyping import install_import_hook

# Shapes and types of the whole package are checked while its tests run; an int is a float, as PEP 484 has it.
install_import_hook("polysemantic", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")


@pytest.fixture(autouse=True)
def _names_of_doctests(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace["torch"] = torch
