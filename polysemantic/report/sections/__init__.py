"""The parts of a report, one a file; each says by itself whether its data is there."""

from polysemantic.report.sections.against import against
from polysemantic.report.sections.basis import basis
from polysemantic.report.sections.cooccurrence import dose
from polysemantic.report.sections.frontier import frontier
from polysemantic.report.sections.lives import lives
from polysemantic.report.sections.phase import phase
from polysemantic.report.sections.provenance import provenance
from polysemantic.report.sections.results import results
from polysemantic.report.sections.sparsification import sparsification
from polysemantic.report.sections.survival import survival
from polysemantic.report.sections.theory import theory
from polysemantic.report.sections.thresholds import thresholds
from polysemantic.report.sections.training import training
from polysemantic.report.sections.weights import weights
from polysemantic.report.sections.width import width

SECTIONS = (
    provenance,
    results,
    against,
    width,
    dose,
    phase,
    frontier,
    training,
    survival,
    lives,
    weights,
    thresholds,
    basis,
    sparsification,
    theory,
)
"""In the order of the page."""
