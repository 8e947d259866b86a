import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from findings import page
from findings.__main__ import main
from findings.formatting import told_of
from findings.glossary import explained
from findings.questions import QUESTIONS
from findings.statistics import binomial, difference, interval, is_less, power_law
from polysemantic.model.autoencoder import Autoencoder
from polysemantic.model.weights import Weights

# Whole tables pass through functions whose own tests check shapes and types.
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(scope="module")
def tables():
    return page.read_tables()


def test_the_page_is_what_its_tables_say(tables, tmp_path):
    written = (page.DOCS / "findings.md").read_text()
    page.write_page(QUESTIONS, tables, docs=tmp_path)
    assert (tmp_path / "findings.md").read_text() == written
    for picture in re.findall(r"\(findings/(.+?[.]png)\)", written):
        assert (tmp_path / "findings" / picture).stat().st_size > 1000


def test_every_point_of_every_network_table_has_sixteen_seeds(tables):
    for question in QUESTIONS.values():
        for name in question.sweeps:
            assert tables[name]["seed"].nunique() >= 16, name
            assert tables[name]["seed"].value_counts().nunique() == 1, name


def test_the_first_screen_has_a_line_for_each_question_that_leads_to_it():
    written = (page.DOCS / "findings.md").read_text()
    first, _, _ = written.partition("\n## ")
    rows = re.findall(
        r"^\| \[(\d+)[.] (.+)\]\(#(.+)\) \| (.+) \| (.+) \| (.+) \| (\d+) \| \d+% of \d+ \|$", first, re.MULTILINE
    )
    assert [int(number) for number, *_ in rows] == list(range(1, len(QUESTIONS) + 1))
    for (number, title, anchor, answer, *_), question in zip(rows, QUESTIONS.values(), strict=True):
        assert title == question.title
        # As GitHub names headings.
        assert anchor == re.sub(r"[^\w -]", "", f"{number}. {title}".lower()).replace(" ", "-")
        assert 20 < len(answer) < 200, answer


def test_tables_and_charts_have_their_words_explained_below_them():
    words = {"coverage": "coverage", "carriers": "carriers", "in the band": "in the band", "settled": "settled"}
    words |= {"expected companions": "expected companions", "neurons m": "n, m", "polysemantic": "polysemantic neuron"}
    words |= {"mean z": "z (`privilege_z`)", "at 0.3": "at 0.3, 0.5, 0.7", "represented": "represented"}
    found = 0
    for section in re.split(r"^## ", (page.DOCS / "findings.md").read_text(), flags=re.MULTILINE)[1:]:
        for table in re.finditer(r"((?:^[|].*\n)+)\n(.*)", section, re.MULTILINE):
            heading, _, _ = table.group(1).partition("\n")
            used = [name for word, name in words.items() if word in heading]
            found += len(used)
            # A line that is repeated refers to the first one.
            below = section if "as above" in table.group(2) else table.group(2)
            assert all(f"*{name}*: " in below for name in used), heading
        (chart,) = re.findall(r"^!\[.*\n\n(.*)", section, re.MULTILINE)
        assert chart.startswith("<sub>*")
    assert found > 50


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("networks | coverage | carriers", ["coverage", "carriers"]),
        ("neurons m | in the band", ["n, m", "in the band"]),
        ("z | privilege", ["z (`privilege_z`)", "privilege"]),
        ("settled | expected companions", ["expected companions", "settled"]),
        ("step", []),
    ],
)
def test_the_words_that_a_table_uses_are_explained_and_no_others(text, words):
    assert re.findall(r"[*]([^*]+)[*]: ", explained(text)) == words


def test_the_interval_of_a_count_of_neurons_ends_at_the_neurons_there_are():
    networks = pd.DataFrame({"n_hidden": 12, "polysemantic_neurons": [12, 12, 12, 3], "coverage": [1, 1, 1, 0.5]})
    assert told_of(networks, "polysemantic_neurons") == "9.75 [2.59, 12]"
    assert told_of(networks, "coverage") == "0.88 [0.48, 1]"


def test_the_committed_tables_stay_small():
    assert sum(path.stat().st_size for path in page.FINDINGS.glob("*.csv")) < 5e6


def test_a_power_law_is_found_again():
    rng = np.random.default_rng(0)
    sizes = np.repeat([16, 32, 64, 128], 50)
    table = pd.DataFrame({"m": sizes, "count": rng.poisson(1000 / sizes)})
    slope, prefactor = power_law(table, "m", "count")
    assert slope.low < -1 < slope.high
    assert prefactor.low < 1000 < prefactor.high
    unknown = pd.DataFrame({"m": [16, 64, 512], "count": [np.nan] * 3})
    assert power_law(pd.concat([table, unknown]), "m", "count") == (slope, prefactor)


def test_intervals_are_those_of_scipy():
    a, b = pd.Series([1.0, 2.0, 4.0, 4.0]), pd.Series([3.0, 5.0, 8.0, np.nan])
    expected = stats.ttest_ind(a, b.dropna(), equal_var=False).confidence_interval(0.95)
    middle, half = difference(a, b)
    np.testing.assert_allclose([middle - half, middle + half], [expected.low, expected.high])
    np.testing.assert_allclose(interval(a)[1:], stats.t.interval(0.95, 3, a.mean(), stats.sem(a)))
    assert binomial(0, 10).high == pytest.approx(1 - 0.025 ** (1 / 10))


@pytest.mark.parametrize(
    ("one", "other", "less"),
    [([1, 2, 3], [11, 12, 13], True), ([1, 5, 9], [2, 6, 10], False), ([0, 0], [1, 1], True), ([1, 1], [1, 1], False)],
)
def test_less_means_less_beyond_chance(one, other, less):
    assert is_less(pd.Series(one, dtype=float), pd.Series(other, dtype=float), level=0.01) == less


@pytest.mark.parametrize(("one", "other"), [([1], [1.1]), ([1], [2, 2, 2, 2]), ([1, 1], [2, np.nan]), ([], [1, 2])])
def test_a_single_network_is_not_less_beyond_chance(one, other):
    one, other = pd.Series(one, dtype=float), pd.Series(other, dtype=float)
    assert not is_less(one, other)
    assert not is_less(other, one)
    assert np.isnan(difference(one, other)[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["widht"], r"`questions` must be of width, .*, got widht\."),
        (["--workers=0"], r"`workers` must be at least 1, got 0\."),
    ],
)
def test_bad_arguments_are_one_line(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["findings", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])


@pytest.mark.parametrize(("both", "stable"), [(0.0, False), (0.02, True), (0.3, True)])
def test_l1_holds_a_rotated_pair_only_if_the_two_occur_together(both, stable):
    # The derivation in docs/findings.md, by the penalty of the four inputs themselves.
    either = both + 2 * 0.1
    inputs = {(1.0, 0.0): 0.1, (0.0, 1.0): 0.1, (1.0, 1.0): both}

    def penalty(d):
        angle = np.pi / 4 + d
        w = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return sum(p * np.abs(np.array(x) @ w).sum() for x, p in inputs.items())

    d = np.linspace(-0.6, 0.6, 25)
    formula = np.sqrt(2) * (either * np.cos(d) + both * np.abs(np.sin(d)))
    np.testing.assert_allclose([penalty(each) for each in d], formula)
    assert (min(penalty(1e-3), penalty(-1e-3)) > penalty(0)) == stable
    if stable:
        edge = np.arctan(both / either)
        assert penalty(0.99 * edge) < penalty(edge) > penalty(1.01 * edge)


@pytest.mark.parametrize("l1", [0.0, 1e-3, 0.1])
def test_l1_holds_a_feature_on_the_neuron_that_it_shares_whatever_that_costs(l1):
    # Two features of opposite sign on neuron 0, always on together in a third of the inputs: leaving costs L1 at once.
    inputs = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]], dtype=torch.float64)

    def loss(step):
        W = torch.tensor([[[1.0, 0.0], [-1.0, step]]], dtype=torch.float64)
        return Autoencoder(Weights(W), l1=torch.tensor([l1], dtype=torch.float64)).loss(inputs).item()

    assert (min(loss(1e-4), loss(-1e-4)) > loss(0.0)) == (l1 > 0)
    assert loss(0.9) < loss(0.0)
