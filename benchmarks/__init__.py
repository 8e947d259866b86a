"""How fast a training step is, beside what else one could write: `python -m benchmarks`."""
