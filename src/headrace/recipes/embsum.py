"""EmbSum: does learning to write what a user likes make their vectors order films better, and does it learn to write it?

Lists of one liked film among films others liked by then (`logs/films_read`), read as words alone. The sentence to be written,
"likes a, b, c; recently d", is made of the genres of what a user had liked before any list that is learned from or asked; it is
read in training alone. All arms have the reader's sizes, tokens, lists, epochs and two learning rates to choose from.

| arm | what it learns beside the order of films |
|---|---|
| embsum; "λ = .."; | to write the sentence, λ = 0.05 or as named |
| "embsum, no summary" | nothing: λ = 0, the decoder's state is made of choices alone |
| genre head | which genres the sentence names, each by itself, with the same weight (`logs/genre_head`) |
| spar | nothing, and has no decoder |
| "no h_sum"; "one vector an item"; "no sessions"; "decoded" | embsum's ablations, and its state as it ends its own words |
| same for everyone | nothing: all films alike, and the three genres most often said, said of everyone |

"three genres said" is of users nobody learned from: which share of the three genres that weigh most in all they had liked by the
time they ask (weighed as in the sentences) is among the first three it writes.
Paper: arXiv 2405.11441. Our reading and what this tests: docs/papers/embsum.md.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Float64
from headrace.recipes import spar
from headrace.recipes.cells import Figures
from headrace.recipes.claims import Claim
from headrace.recipes.logs import readers
from headrace.recipes.logs.films_read import FilmsRead
from headrace.recipes.logs.one_liked import AUC, by_user
from headrace.recipes.logs.readers import FIGURES, NEWCOMERS
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import TrialArm, Trials

_PUBLISHED = (
    "0.22 points of AUC above UNBERT on MIND and 0.24 on Goodreads, with half its parameters; the summary's loss weighs 0.05 "
    "(EmbSum, its tables, as summarised elsewhere)"
)
SAID = "three genres said"
METRICS = (*FIGURES, SAID)
EVERYONE = "same for everyone"


def _claim(says: str, than: str, **more: Any) -> Claim:
    given: dict[str, Any] = {"metric": AUC, "published": _PUBLISHED, **more}
    return Claim(says=says, better="embsum", than=than, protocol=spar.MAIN, **given)


CLAIM = _claim("Learning to write what users like adds 0.2 points of AUC.", "embsum, no summary", margin=0.002)
FURTHER = (
    _claim("It adds more than a head that foretells the same genres: it is the writing.", "genre head"),
    _claim("Of users nobody learned from it says half of the three genres (spar says none).", "spar", metric=SAID, margin=0.5),
    _claim("It says more of them than the three that are most often said.", EVERYONE, metric=SAID),
    _claim("It orders better than SPAR without a summary.", "spar"),
)
ARMS: Mapping[str, Mapping[str, Any]] = {
    "embsum": {"ranker": "embsum"},
    "embsum, no summary": {"ranker": "embsum", "settings": {"summary_weight": 0.0}},
    "genre head": {"ranker": "genre head", "settings": {"summary_weight": 0.0}},
    "spar": {"ranker": "spar"},
    EVERYONE: {"ranker": EVERYONE},
    "embsum, λ = 0.01": {"ranker": "embsum", "settings": {"summary_weight": 0.01}},
    "embsum, λ = 0.1": {"ranker": "embsum", "settings": {"summary_weight": 0.1}},
    "embsum, λ = 0.3": {"ranker": "embsum", "settings": {"summary_weight": 0.3}},
    "embsum, no h_sum": {"ranker": "embsum", "settings": {"h_sum": False}},
    "embsum, one vector an item": {"ranker": "embsum", "settings": {"vectors": 1}},
    "embsum, no sessions": {"ranker": "embsum", "settings": {"session": 1}},
    "embsum, decoded": {"ranker": "embsum", "settings": {"at_serving": "decoded"}},
}
NOT_IN_HALF_AN_HOUR = tuple(arm for arm in ARMS if arm.startswith("embsum, ") and arm != "embsum, no summary")
"""Arms that no claim is about: the cpu budget goes without them."""
OWN: Mapping[str, Any] = {
    "user_vectors": 8, "vectors": 2, "session": 5, "decoder_layers": 1, "decoder_dim": 32, "decoder_heads": 2,
    "summary_tokens": 24,
}  # fmt: skip
"""EmbSum's sizes."""


def work(budget: Budget) -> Trials:
    setting, rates, seeds = readers.setting_of(budget)
    return Trials(
        data=setting["data"],
        arms={
            arm: TrialArm(how, [{"learning_rate": rate} for rate in rates] if arm != EVERYONE else ({},))
            for arm, how in ARMS.items()
            if budget == "full" or arm not in NOT_IN_HALF_AN_HOUR
        },
        settings={spar.MAIN: setting},
        described={spar.MAIN: readers.described(setting)},
        seeds=seeds,
        metrics=METRICS,
        run=run,
        open_data=lambda folder: readers.open_films(folder, setting["data"]),
        unit="users",
        kept=lambda setting, metric, seed: readers.in_every_seed(setting, metric in (NEWCOMERS, SAID), seed, seeds),
    )


def run(setting: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Figures:
    """One arm with one learning rate and one draw of lists and of first weights."""
    of = readers.asked_of(setting, seed)
    test = of.test.take(np.flatnonzero(of.apart[of.test.requests.users]))
    if arm["ranker"] == EVERYONE:
        alike = readers.figures_by(lambda lists: np.zeros(lists.label.shape, np.float32), of)
        return {**alike, SAID: _shares([commonest(of)] * len(test), of, test)}
    if arm["ranker"] == "spar":
        return {**spar.run(setting, arm, seed), SAID: _shares([""] * len(test), of, test)}
    own = {"summaries": "extractive", **arm, "settings": {**OWN, **arm.get("settings", {})}}
    scorer = readers.reader_of(setting, own, seed)
    return {**readers.figures(scorer, of), SAID: _shares(scorer.summaries_of(test.requests), of, test)}


def commonest(of: FilmsRead) -> str:
    """The genres most often said of those who were learned from, as a sentence; among equals by the alphabet."""
    texts = readers.written(of, "extractive").texts
    counts = Counter(name for text, apart in zip(texts, of.apart, strict=True) if not apart for name in readers.named(text))
    return "likes " + ", ".join(sorted(counts, key=lambda name: (-counts[name], name))[:3])


def _shares(said: Sequence[str], of: FilmsRead, lists: CandidateLists) -> Float64:
    """By user: of the genres that weigh most, the share that is said."""
    true = readers.three_genres(of, lists)
    shares = [len(readers.named(text) & names) / len(names) for text, names in zip(said, true, strict=True)]
    return by_user(np.array(shares), lists.requests.users)
