from polysemantic.data.base import InputDataModule
from polysemantic.data.independent_bernoulli import IndependentBernoulli
from polysemantic.data.one_hot import OneHot

__all__ = ["IndependentBernoulli", "InputDataModule", "OneHot"]
