"""SPAR: do a few vectors made of all tokens of what a user read order films better than means of films, and why?

Lists of one liked film among films others liked by then (`logs/films_read`), read as words alone. All arms have the reader's
sizes, tokens, lists, epochs and two learning rates to choose from; they differ in how what was read becomes a user.

| arm | a user is |
|---|---|
| spar | 8 vectors of a code a film over what it may see (UHS), and of those (UIE); an item is 2 of its tokens (CCS) |
| "dense"; "no UHS"; "no UIE" | every token seen; films' first tokens in place of codes over tokens; a vector a film |
| "no CCS"; "no sessions" | an item by its first token; each film read by itself |
| "with a summary"; "summary alone" | what was written of the films before the window, before the history; in its place |
| mean | the mean of the films' first tokens: a two-tower of the same reader (`logs/starts`) |
| "mean of tokens"; attention | films that are the mean of their tokens: their mean; weighed by how like a candidate they are |
| nrms; naml | self-attention over films; attention over films, of attention over tokens |
| minilm | the mean of all-MiniLM-L6-v2's vectors, frozen: nothing is learned, so no rival but what words say by themselves |

Figures are averaged over lists, each user's lists first. Entropy is of the weights of UHS, in nats.
Paper: arXiv 2402.10555, its comparison and ablations. Our reading and what this tests: docs/papers/spar.md.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from headrace.contracts.requests import Int64, Requests
from headrace.data.rank_inputs import user_batch
from headrace.encode.reading.poly import mean_entropy
from headrace.methods.rank.spar import SPAR
from headrace.recipes.cells import Figures
from headrace.recipes.claims import Claim
from headrace.recipes.logs import readers
from headrace.recipes.logs.one_liked import AUC
from headrace.recipes.logs.readers import FIGURES, GAINED, NEWCOMERS
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import TrialArm, Trials

MAIN = "films liked next"
_PUBLISHED = (
    "MIND-small AUC 73.21, NRMS 63.28, NAML 66.10; 72.70 without sparsity, 72.15 without UHS, 73.15 without the summary; entropy "
    "of attention 7.74 dense and 5.66 sparse; 71.83 to 74.79 from 10 to 60 films read (SPAR, its tables, as summarised elsewhere)"
)
ENTROPY = "entropy of attention"
METRICS = (*FIGURES, ENTROPY)
MINILM = "minilm"


def _claim(says: str, than: str, **more: Any) -> Claim:
    given: dict[str, Any] = {"metric": AUC, "better": "spar", **more}
    return Claim(says=says, published=_PUBLISHED, than=than, protocol=MAIN, **given)


CLAIM = _claim(
    "SPAR's vectors order films better than the mean of films' first tokens, by half a point of AUC.", "mean", margin=0.005
)
FURTHER = (
    _claim("A sparse view costs no more than half a point of AUC.", "spar, dense", margin=0.005, form="not worse"),
    _claim("A sparse view's attention is the sharper one.", "spar, dense", metric=ENTROPY, less=True),
    _claim("It makes more of a longer history than the mean does.", "mean", metric=GAINED),
    _claim("It orders better than self-attention over films (NRMS).", "nrms"),
    _claim("And better than attention to views of a film (NAML).", "naml"),
    _claim("And better than a candidate's attention to the newest films.", "attention"),
    _claim("And better than the mean of all their tokens.", "mean of tokens"),
    _claim("Codes over tokens say more than films' first tokens.", "spar, no UHS"),
    _claim("A written summary adds to what is read.", "spar", better="spar, with a summary"),
)
ARMS: Mapping[str, Mapping[str, Any]] = {
    "spar": {"ranker": "spar"},
    "spar, dense": {"ranker": "spar", "settings": {"window": 0, "starts": False, "share": 0.0}},
    "spar, no UHS": {"ranker": "spar", "settings": {"uhs": False}},
    "spar, with a summary": {"ranker": "spar", "settings": {"summary": "written"}, "summaries": "extractive"},
    "spar, summary alone": {"ranker": "spar", "settings": {"summary": "alone"}, "summaries": "extractive"},
    "spar, no UIE": {"ranker": "spar", "settings": {"uie": False}},
    "spar, no CCS": {"ranker": "spar", "settings": {"ccs": False, "vectors": 1}},
    "spar, no sessions": {"ranker": "spar", "settings": {"session": 1}},
    "mean": {"ranker": "mean of starts"},
    "mean of tokens": {"ranker": "mean_text"},
    "attention": {"ranker": "mean_text", "settings": {"pool": "attention"}},
    "nrms": {"ranker": "nrms"},
    "naml": {"ranker": "naml"},
    MINILM: {"ranker": MINILM},
}
NOT_IN_HALF_AN_HOUR = ("spar, summary alone", "spar, no UIE", "spar, no CCS", "spar, no sessions")
"""Arms that no claim is about: the cpu budget goes without them."""
OWN: Mapping[str, Any] = {"user_vectors": 8, "vectors": 2, "session": 5, "window": 64, "share": 0.1, "summary_tokens": 24}
"""SPAR's sizes."""


def work(budget: Budget) -> Trials:
    setting, rates, seeds = readers.setting_of(budget)
    arms = {arm: how for arm, how in ARMS.items() if budget != "cpu" or arm not in NOT_IN_HALF_AN_HOUR}
    if budget == "smoke":
        arms.pop(MINILM)  # its weights are 91 MB, fetched
    return Trials(
        data=setting["data"],
        arms={
            arm: TrialArm(how, [{"learning_rate": rate} for rate in rates] if how["ranker"] != MINILM else ({},))
            for arm, how in arms.items()
        },
        settings={MAIN: setting},
        described={MAIN: readers.described(setting)},
        seeds=seeds,
        metrics=METRICS,
        run=run,
        open_data=lambda folder: readers.open_films(folder, setting["data"]),
        unit="users",
        kept=lambda setting, metric, seed: kept(setting, metric, seed, seeds),
    )


def kept(setting: Mapping[str, Any], metric: str, seed: int, seeds: int) -> Int64:
    """Users asked with every seed; entropy is one figure a run."""
    one = np.zeros(1, np.int64)
    return one if metric == ENTROPY else readers.in_every_seed(setting, metric == NEWCOMERS, seed, seeds)


def run(setting: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Figures:
    """One arm with one learning rate and one draw of lists and of first weights."""
    of = readers.asked_of(setting, seed)
    if arm["ranker"] == MINILM:
        vectors = readers.sentence_vectors(setting["data"], setting["ranker"]["reader"]["tokens"])
        return readers.figures_by(lambda lists: readers.by_likeness(vectors, lists, setting["ranker"]["history"]), of)
    own = arm.get("settings", {})
    settings = {**OWN, **own} if arm["ranker"] == "spar" else {"vectors": 1, **own}
    scorer = readers.reader_of(setting, {**arm, "settings": settings}, seed)
    found = readers.figures(scorer, of)
    if not isinstance(scorer, SPAR) or not scorer.config.uhs or scorer.config.summary == "alone":
        return found
    return {**found, ENTROPY: np.array([entropy(scorer, of.test.requests)])}


def entropy(scorer: SPAR, requests: Requests) -> float:
    """Nats, over the codes of all requests that see something."""
    each = []
    with torch.inference_mode():
        for _, part in requests.chunks(256):
            weights = scorer.attention(user_batch(part, scorer.schema))
            codes = int((weights.sum(-1) > 0).sum())
            each.append((float(mean_entropy(weights)), codes))
    return float(np.average([value for value, _ in each], weights=[codes for _, codes in each]))
