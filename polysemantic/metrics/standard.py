from polysemantic.metrics.angles import MinAngle, ShareAnglesBelow90
from polysemantic.metrics.base import InstanceMetric
from polysemantic.metrics.carrying import Carriers, Coverage, PolysemanticNeurons, PolysemanticNeuronsBand, Represented
from polysemantic.metrics.collisions import CollisionsOppositeSign, CollisionsSameSign, ExcessPolysemanticNeurons
from polysemantic.metrics.feature_dimensionality import FeatureDimensionality
from polysemantic.metrics.features_per_neuron import FeaturesPerNeuron
from polysemantic.metrics.hidden_kurtosis import HiddenExcessKurtosis
from polysemantic.metrics.interference import MeanInterference, WeightedInterference
from polysemantic.metrics.participation_ratio import ParticipationRatio
from polysemantic.metrics.partition import PartitionConcentration, PartitionEnergy
from polysemantic.metrics.privilege import FourthNorm, Privilege, PrivilegeZ
from polysemantic.metrics.reconstruction import Loss, ReconstructionError
from polysemantic.metrics.sparsification import L1Norm, SparsityCount
from polysemantic.metrics.winners import WinnerKeptSign, WinnerWasLargest

STANDARD: tuple[type[InstanceMetric], ...] = (
    Loss,
    ReconstructionError,
    Coverage,
    Represented,
    Carriers,
    PolysemanticNeurons,
    PolysemanticNeuronsBand,
    CollisionsOppositeSign,
    CollisionsSameSign,
    ExcessPolysemanticNeurons,
    FourthNorm,
    Privilege,
    PrivilegeZ,
    HiddenExcessKurtosis,
    ParticipationRatio,
    FeaturesPerNeuron,
    FeatureDimensionality,
    MinAngle,
    ShareAnglesBelow90,
    PartitionEnergy,
    PartitionConcentration,
    MeanInterference,
    WeightedInterference,
    SparsityCount,
    L1Norm,
    WinnerWasLargest,
    WinnerKeptSign,
)
"""The metrics of every run, in the order of their columns."""
