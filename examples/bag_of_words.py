"""Build a bag-of-words matrix, real features with their own co-occurrence, from the help texts that ship with Python.

Rows are sentences of Python's language reference (`pydoc_data.topics`), features its most frequent content words,
1 where a word occurs in the sentence. The same Python makes the same file.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from scipy import sparse

from polysemantic.data import FeatureFile

# Words that carry the grammar of a sentence and not its subject.
FUNCTION_WORDS = set(
    re.findall(
        r"\w+",
        """
        a about above after all also although always an and any are as at be because been before being below
        between both but by can cannot case cases could do does each either even every example few first
        following follows for from given gives has have hence how however i if in instead into is it its itself
        just last later made make makes many may means might more most must need neither never new no non nor
        not note now of on one only or other others otherwise out over own rather same second see should since
        so some such than that the their them then there therefore these they this those three through thus to
        too true two under unless until up upon usually very via was way we well were what when where whether
        which while whose will with within without would yet you your
        """,
    )
)


def sentences() -> list[set[str]]:
    """The set of words of each sentence of prose. Indented paragraphs are code or grammar and are left out."""
    found: list[set[str]] = []
    for _, text in sorted(topics.items()):
        paragraphs = [one for one in re.split(r"\n\s*\n", text) if not re.match(r" |.*(\*\*\*|===)", one, re.DOTALL)]
        prose = re.split(r"\n\n|(?<=[.:;!?])\s+", "\n\n".join(paragraphs))
        words = [re.findall(r"[a-z]{2,}", sentence.lower()) for sentence in prose]
        found.extend(set(sentence) - FUNCTION_WORDS for sentence in words)
    return found


def bag_of_words(n_features: int) -> tuple[sparse.csr_array, list[str]]:
    """A matrix of sentences by words, the most frequent word first, without sentences that have none of the words."""
    rows = sentences()
    frequency = Counter(word for row in rows for word in row)
    # Equally frequent words are in alphabetical order, as the order of a set differs between processes.
    words = sorted(frequency, key=lambda word: (-frequency[word], word))[:n_features]
    column = {word: feature for feature, word in enumerate(words)}
    kept = [sorted(column[word] for word in row & column.keys()) for row in rows]
    kept = [row for row in kept if row]
    ends = np.cumsum([0, *map(len, kept)])
    return sparse.csr_array(
        (np.ones(ends[-1], dtype=np.float32), np.concatenate(kept), ends), (len(kept), len(words))
    ), words


def describe(data: FeatureFile, words: list[str]) -> None:
    """Print the true co-occurrence statistics of the matrix."""
    p, companions, phi = data.marginals()[0], data.expected_companions()[0], data.phi()[0]
    print(f"features on in a sentence  {p.sum():.2f}")
    print(f"P(word)                    {p.max():.4f} ({words[0]}) to {p.min():.4f} ({words[-1]})")
    print(f"expected companions        {companions.median():.2f} ({companions.min():.2f} to {companions.max():.2f})")
    print("strongest correlations")
    for pair in phi.triu(1).flatten().topk(min(8, len(words) * (len(words) - 1) // 2)).indices.tolist():
        i, j = divmod(pair, len(words))
        given = data.cooccurrence()[0, i, j] / p[i]
        print(f"  phi = {phi[i, j]:.2f}  P({words[j]} | {words[i]}) = {given:.2f}")


def main() -> None:
    """Write the matrix, and print its co-occurrence statistics."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("bag_of_words.npz"), help="default: %(default)s")
    parser.add_argument("--n_features", type=int, default=256, help="words to keep, default: %(default)s")
    arguments = parser.parse_args()
    matrix, words = bag_of_words(arguments.n_features)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    sparse.save_npz(arguments.output, matrix)
    print(f"{arguments.output}: {matrix.shape[0]} sentences, {matrix.shape[1]} words")
    describe(FeatureFile(str(arguments.output)), words)


if __name__ == "__main__":
    main()
