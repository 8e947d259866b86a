"""How fast a training step is, beside what else one could write: `python -m benchmarks`."""

import polysemantic  # noqa: F401 - before torch, as in every run: it says how torch is to keep memory and to wait
