import re

from polysemantic.metrics import STANDARD
from polysemantic.results.columns import COLUMNS, COSTLY
from polysemantic.results.glossary import MEANINGS, TERMS, glossary


def test_every_measurement_has_a_meaning_and_every_meaning_a_column():
    assert {metric.column() for metric in STANDARD} | set(COSTLY) <= set(MEANINGS)
    assert set(MEANINGS) <= set(COLUMNS)
    assert all(text and not re.search(r"[.\n]$", text) for text in (*MEANINGS.values(), *TERMS.values()))


def test_a_glossary_has_each_word_once_under_the_name_that_the_table_shows():
    text = glossary(["polysemantic_neurons", "coverage", "coverage", "settled"], short=True)
    assert [part.partition(":")[0] for part in text.split(". ")] == ["polysemantic", "coverage", "settled"]
    assert glossary(["polysemantic_neurons"]).startswith("polysemantic neurons: ")
    assert "\n" not in text


def test_what_nothing_is_known_of_has_no_words():
    assert glossary(["of_the_user", "instance"]) == ""
