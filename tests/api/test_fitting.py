import inspect
import re

import numpy as np
import pytest
import torch

from polysemantic import Ensemble, EnsembleModule, fit
from polysemantic.callbacks import Checkpoint, Convergence, Measurements, Snapshots
from polysemantic.data import FeatureFile, IndependentBernoulli, KHot, OneHot

SIZES = {"n_hidden": 6, "max_steps": 3}
LINKED = {"n_features", "ensemble", "seed"}


def test_fit_has_the_options_of_the_module_with_their_defaults_and_types():
    ours, theirs = (inspect.signature(each).parameters for each in (fit, EnsembleModule))
    for name, parameter in theirs.items():
        if name not in LINKED:
            assert ours[name].annotation == parameter.annotation, name
            assert name == "optimizer" or ours[name].default == parameter.default, name
    made = [each["optimizer"].default([torch.nn.Parameter(torch.zeros(1))]) for each in (ours, theirs)]
    assert type(made[0]) is type(made[1])
    assert made[0].defaults == made[1].defaults
    assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in ours.values())


@pytest.mark.parametrize("function", [fit, EnsembleModule])
def test_every_option_is_explained(function):
    told = set(re.findall(r"(?m)^ {4,8}(\w+): ", inspect.getdoc(function).partition("Raises:")[0]))
    assert told >= set(inspect.signature(function).parameters)


OPTIMISER = ": it is an option of the optimiser, such as optimizer=lambda p: torch.optim."
MEANT = {
    "lr": f"{OPTIMISER}AdamW(p, lr=3)",
    "momentum": f"{OPTIMISER}SGD(p, lr=0.1, momentum=3)",
    "steps": "; did you mean max_steps?",
    "max_epochs": "; did you mean max_steps?",
    "hidden": "; did you mean n_hidden?",
    "activation": "; did you mean act?",
    "l1_coefficient": "; did you mean l1?",
    "tide": "; did you mean tied?",
    "seed": "; did you mean seed_everything?",
    "batch_size": ": it is an argument of the inputs, such as OneHot(batch_size=3)",
    "probability": ": it is an argument of other inputs, such as ",
    "seeds": ": it is an argument of `ensemble`, such as ensemble=Ensemble(seeds=3)",
    "stop": ": it is an argument of `convergence`, such as convergence=Convergence(stop=3)",
    "logger": ": it is an option of the trainer, such as trainer={'logger': ...}",
    "device": ": it is an option of the trainer, such as trainer={'accelerator': ...}",
    "xyzzy": "",
}


@pytest.mark.parametrize("name", MEANT)
def test_an_unknown_option_is_one_line_that_says_what_was_meant(name):
    with pytest.raises(TypeError) as raised:
        fit(OneHot(8), **{name: 3})
    said = str(raised.value)
    assert said.startswith(f"unknown option {name}{MEANT[name]}")
    assert (said == f"unknown option {name}") == (MEANT[name] == "")
    assert "\n" not in said


def test_the_module_says_the_same_of_what_is_its_own():
    with pytest.raises(ValueError, match=r"`model\.compile` must be unset: .* take its place, got true\."):
        EnsembleModule(8, 8, compile=True)
    with pytest.raises(TypeError, match=r"unknown option lr: it is an option of the optimiser"):
        EnsembleModule(8, 8, lr=0.1)
    with pytest.raises(TypeError, match=r"^unknown option max_epochs$"):
        EnsembleModule(8, 8, max_epochs=10)


OF_ANOTHER_KIND = {
    "tied": ("no", "true or false, got 'no'."),
    "bias": (1, "true or false, got 1."),
    "l1": ("0.1", "a number, got '0.1'."),
    "importance": (None, "a number, got None."),
    "noise_std": (np.array([0.1, 0.2]), "a number, got array([0.1, 0.2])."),
    "init_scale": (True, "a number, got True."),
    "clip_norm": ("1", "a number or None, got '1'."),
    "inner_steps": (2.5, "a whole number or None, got 2.5."),
    "n_hidden": (torch.tensor(True), "a whole number, got tensor(True)."),
    "max_steps": ("5", "a whole number, got '5'."),
    "act": (None, "one of linear, relu, got None."),
    "engine": (None, "one of auto, eager, threaded, cuda_graph, compiled, got None."),
    "kernels": ("torhc", "one of auto, torch, got 'torhc'; did you mean torch?"),
    "noise": (["uniform"], "one of bernoulli, uniform, gaussian, laplace, got ['uniform']."),
    "init_from": (3, "a text or None, got 3."),
    "optimizer": ("SGD", "a function or a class, got 'SGD'."),
    "autoencoder": (int, "a subclass of Autoencoder, got <class 'int'>."),
    "ensemble": (16, "an Ensemble or None, got 16."),
    "measurements": (10, "a Measurements or None, got 10."),
    "callbacks": ([int], "a list of Callbacks or a Callback or None, got [<class 'int'>]."),
    "trainer": ("cpu", "a dict or None, got 'cpu'."),
    "data": ("OneHot", "an InputDataModule, got 'OneHot'."),
}


@pytest.mark.parametrize("name", OF_ANOTHER_KIND)
def test_an_option_of_another_kind_is_one_line(name):
    value, said = OF_ANOTHER_KIND[name]
    with pytest.raises(ValueError, match=re.escape(f"`{name}` must be {said}")):
        fit(**{"data": OneHot(8), **SIZES, name: value})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Ensemble(vary={"l1": 0.1}), "`ensemble.vary.l1` must be a list of numbers, got 0.1."),
        (lambda: Ensemble(vary={"l1": "0.1"}), "`ensemble.vary.l1` must be a list of numbers, got '0.1'."),
        (lambda: Ensemble(vary=["l1"]), "`ensemble.vary` must be a dict or None, got ['l1']."),
        (lambda: IndependentBernoulli(8, "0.1"), "`probability` must be a number, got '0.1'."),
        (lambda: KHot(8, k=2.5), "`k` must be a whole number, got 2.5."),
        (lambda: OneHot(8, magnitude="two"), "`magnitude` must be one of one, uniform, got 'two'."),
        (lambda: FeatureFile(3), "`path` must be a text, got 3."),
        (lambda: Convergence(stop="no"), "`stop` must be true or false, got 'no'."),
        (lambda: Checkpoint("60"), "`every_n_seconds` must be a number, got '60'."),
        (lambda: Snapshots([0.5]), "`instances` must be a list of whole numbers or None, got [0.5]."),
        (lambda: Measurements(metrics=[3]), "`metrics` must be a list of InstanceMetrics or None, got [3]."),
        (
            lambda: fit(OneHot(8), **SIZES, seed_everything=-1),
            "`seed_everything` must lie in [0, 2^32)",
        ),
        (
            lambda: fit(OneHot(8), **SIZES, trainer={"max_stepss": 3}),
            "`trainer` must hold options of Lightning's Trainer alone, got max_stepss; did you mean max_steps?",
        ),
    ],
)
def test_so_is_what_the_parts_of_a_fit_are_made_of(make, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        make()


def test_numbers_and_truth_values_of_numpy_and_torch_are_those_of_python():
    given = {"tied": np.bool_(False), "bias": torch.tensor(True), "l1": np.float32(0.5), "act": np.str_("relu")}
    module = EnsembleModule(np.int64(8), torch.tensor(6), **given)
    assert [module.n_features, module.n_hidden, module.tied, module.bias, module.act] == [8, 6, False, True, "relu"]
    kinds = [type(value) for value in (module.n_hidden, module.tied, module.bias, module.numbers["l1"])]
    assert kinds == [int, bool, bool, float]
    assert Ensemble(vary={"l1": torch.tensor([0.0, 0.5])}).vary == {"l1": [0.0, 0.5]}
    assert Ensemble(vary={"l1": (np.float64(0.25), 1)}).vary == {"l1": [0.25, 1.0]}
    assert type(IndependentBernoulli(8, np.float64(0.1)).probability) is float
