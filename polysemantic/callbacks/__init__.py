from polysemantic.callbacks.charts import Charts
from polysemantic.callbacks.checkpoint import Checkpoint
from polysemantic.callbacks.measurements import Measurements
from polysemantic.callbacks.progress import StepProgress
from polysemantic.callbacks.results import Results
from polysemantic.callbacks.snapshots import Snapshots
from polysemantic.callbacks.steps import StepCallback

__all__ = ["Charts", "Checkpoint", "Measurements", "Results", "Snapshots", "StepCallback", "StepProgress"]
