from polysemantic.callbacks.bands import Bands
from polysemantic.callbacks.charts import Charts
from polysemantic.callbacks.checkpoint import Checkpoint
from polysemantic.callbacks.collision_tracker import CollisionTracker
from polysemantic.callbacks.convergence import Convergence
from polysemantic.callbacks.costly import CostlyMeasurements
from polysemantic.callbacks.hparams import HParams
from polysemantic.callbacks.inputs_log import InputsLog
from polysemantic.callbacks.measurements import Measurements
from polysemantic.callbacks.progress import StepProgress
from polysemantic.callbacks.results import Results
from polysemantic.callbacks.snapshots import Snapshots
from polysemantic.callbacks.steps import StepCallback
from polysemantic.callbacks.survival import Survival
from polysemantic.callbacks.weights_log import WeightsLog
from polysemantic.callbacks.whole_steps import WholeSteps

__all__ = [
    "Bands",
    "Charts",
    "Checkpoint",
    "CollisionTracker",
    "Convergence",
    "CostlyMeasurements",
    "HParams",
    "InputsLog",
    "Measurements",
    "Results",
    "Snapshots",
    "StepCallback",
    "StepProgress",
    "Survival",
    "WeightsLog",
    "WholeSteps",
]
