import pandas as pd
import pytest

from polysemantic.results.converged import Converged


@pytest.mark.parametrize(
    ("converged", "diverged", "words", "advised"),
    [
        (0, 0, "converged 0 of 20", True),
        (17, 0, "converged 17 of 20", True),
        (18, 0, "converged 18 of 20", False),
        (20, 0, "converged 20 of 20", False),
        # More steps bring back none that diverged.
        (12, 8, "converged 12 of 20, diverged 8", False),
        (0, 20, "converged 0 of 20, diverged 20", False),
        (3, 8, "converged 3 of 20, diverged 8", True),
    ],
)
def test_few_converged_networks_come_with_advice(converged, diverged, words, advised):
    steps = [100] * converged + [None] * (20 - converged)
    lost = [None] * (20 - diverged) + [50] * diverged
    results = pd.DataFrame({"step": 400, "converged_step": steps, "diverged_step": lost})
    found = Converged.of(results.astype({"converged_step": "Int64", "diverged_step": "Int64"}))
    assert found.words == words
    assert (found.advice is not None) == advised
    assert not advised or "--trainer.max_steps 800" in found.advice


def test_a_share_just_below_enough_is_not_rounded_up_to_it():
    assert Converged(1000, 899, 0, 10).advice.startswith("Only 89 % had converged")
