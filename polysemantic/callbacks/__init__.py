from polysemantic.callbacks.checkpoint import Checkpoint
from polysemantic.callbacks.collisions.survival import Survival
from polysemantic.callbacks.collisions.tracker import CollisionTracker
from polysemantic.callbacks.convergence import Convergence
from polysemantic.callbacks.measurements import Measurements
from polysemantic.callbacks.progress import StepProgress
from polysemantic.callbacks.results import Results
from polysemantic.callbacks.snapshots import Snapshots
from polysemantic.callbacks.tensorboard.bands import Bands
from polysemantic.callbacks.tensorboard.charts import Charts
from polysemantic.callbacks.tensorboard.hparams import HParams
from polysemantic.callbacks.tensorboard.inputs_log import InputsLog
from polysemantic.callbacks.tensorboard.survival_curves import SurvivalCurves
from polysemantic.callbacks.tensorboard.weights_log import WeightsLog
from polysemantic.callbacks.whole_steps import WholeSteps
from polysemantic.training.step_callback import StepCallback

__all__ = [
    "Bands",
    "Charts",
    "Checkpoint",
    "CollisionTracker",
    "Convergence",
    "HParams",
    "InputsLog",
    "Measurements",
    "Results",
    "Snapshots",
    "StepCallback",
    "StepProgress",
    "Survival",
    "SurvivalCurves",
    "WeightsLog",
    "WholeSteps",
]
