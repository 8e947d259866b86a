"""How fast a training step is, beside what else one could write: `python -m benchmarks`."""

from polysemantic.runtime.environment import set_library_defaults

# As in every run by a command, before any module imports torch.
set_library_defaults()
