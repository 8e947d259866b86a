"""The package from Python: `fit`, and `measure` for weights that somebody else trained."""

from polysemantic.api.fitting import fit
from polysemantic.api.measuring import measure

__all__ = ["fit", "measure"]
