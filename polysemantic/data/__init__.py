from polysemantic.data.base import InputDataModule
from polysemantic.data.cooccurrence_dial import CooccurrenceDial
from polysemantic.data.feature_file import FeatureFile
from polysemantic.data.gaussian_copula import GaussianCopula
from polysemantic.data.half_split import HalfSplit
from polysemantic.data.hierarchical import Hierarchical
from polysemantic.data.independent_bernoulli import IndependentBernoulli
from polysemantic.data.k_hot import KHot
from polysemantic.data.one_hot import OneHot
from polysemantic.data.pair_mixture import PairMixture

__all__ = [
    "CooccurrenceDial",
    "FeatureFile",
    "GaussianCopula",
    "HalfSplit",
    "Hierarchical",
    "IndependentBernoulli",
    "InputDataModule",
    "KHot",
    "OneHot",
    "PairMixture",
]
