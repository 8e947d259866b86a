"""One question a module, in the order of docs/findings.md."""

from findings.question import Question
from findings.questions.basis import WithoutL1
from findings.questions.cooccurrence import Cooccurrence
from findings.questions.disambiguation import Disambiguation
from findings.questions.frontier import Frontier
from findings.questions.lives import Lives
from findings.questions.necessary import Necessary
from findings.questions.noise import Noise
from findings.questions.resolved import Resolved
from findings.questions.sparsification import Sparsification
from findings.questions.superposition import Superposition
from findings.questions.width import Width
from findings.questions.winners import Winners
from findings.questions.words import Words

QUESTIONS: dict[str, Question] = {
    "width": Width(),
    "cooccurrence": Cooccurrence(),
    "resolved": Resolved(),
    "lives": Lives(),
    "basis": WithoutL1(),
    "noise": Noise(),
    "disambiguation": Disambiguation(),
    "winners": Winners(),
    "sparsification": Sparsification(),
    "necessary": Necessary(),
    "frontier": Frontier(),
    "words": Words(),
    "superposition": Superposition(),
}
