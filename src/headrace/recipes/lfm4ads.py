"""LFM4Ads: what a small scenario's model gains of a large one's representations, each and at each granularity.

One upstream (`methods/rank/foundation`) learns four tasks of all scenarios' earlier days; later each scenario has a model of its
own rows alone, `lfm4ads` or `standalone`, which differ in what is transferred. `logs/scenarios` says which rows are whose.

| arm | reads of the upstream |
|---|---|
| none | nothing: dcnv2 from scratch |
| none, all events | nothing, but its histories are of all scenarios, as the upstream's are |
| UR, joined | the user's own representation, a linear map of it joined to the input: the paper's baseline |
| CR, joined; UR and CR, joined; UR and CR, mlp | user's cross representations; both; both through a hidden layer |
| CR, gate | cross representations of the layer that the search finds, as a gate: the paper's adapter |
| CR, gate, embeddings; CR, gate, last layer | of CR0, UR and IR side by side; of the layer below the heads |
| CR, gate, leaking | one sum over all until the test, as the public code has it |
| CR and item CR, gate; all, gate | cross representations of items too; those and UR and IR |
| block; block, random | the upstream's mix tower, from its weights or from new ones, fed UR and IR |
| retrieval, fresh; retrieval, UR; retrieval, CR | standalone retrieval: new embeddings; UR or CR to the upstream's item vectors |

Every arm has two learning rates, and the one with the least loss on the day that stops training, mean over scenarios of the first
world, is kept for all. AUC is of true chances of what was recalled on the test's days, by scenario; small are the half of the
scenarios with the least rows, large the quarter with the most. Each seed is a world of its own.
Paper: arXiv 2508.14948. Our reading and what this tests: docs/papers/lfm4ads.md.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from headrace.cascade.validation import logits_for, value_of_ranker
from headrace.contracts.config import digest, parse
from headrace.data.foundation import Foundation
from headrace.methods.rank.lfm4ads import LFM4Ads
from headrace.recipes.cells import Figures
from headrace.recipes.claims import Claim
from headrace.recipes.logs import genres
from headrace.recipes.logs.against_truth import auc
from headrace.recipes.logs.genres import GenresConfig
from headrace.recipes.logs.scenarios import Scenario, Scenarios, Upstream, retriever_of
from headrace.recipes.logs.students import predicted, trained
from headrace.recipes.logs.surfaces import SurfacesConfig, lived
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import VALID, TrialArm, Trials

_MAIN, _FILMS = "surfaces of a world", "genres of films"
_PUBLISHED = (
    "GMV +2.45% in production. On KuaiRand-1K, one replication by others: best feature-level transfer +0.001 to +0.034 AUC by "
    "scenario, module level up to +0.044; most on small ones, about none on large ones"
)
SMALL, LARGE, SHRINKS = "AUC, small", "AUC, large", "AUC, small less large"
STOPS, COLD, LAYER = "AUC, small, on the day that stops", "recall@100, cold users, small", "layer"
MOST = 8
EACH = tuple(f"AUC {place}" for place in range(1, MOST + 1))
"""By scenario, that with the most rows first."""
METRICS = (SMALL, LARGE, SHRINKS, STOPS, COLD, LAYER, *EACH)


def _claim(says: str, better: str, than: str, metric: str = SMALL, **more: Any) -> Claim:
    return Claim(says=says, published=_PUBLISHED, metric=metric, better=better, than=than, protocol=_MAIN, **more)


CLAIM = _claim(
    "On small scenarios a gate of cross representations is better than the user's own representation joined.",
    "CR, gate", "UR, joined",
)  # fmt: skip
FURTHER = (
    _claim("On small scenarios the user's representation, joined, is better than nothing.", "UR, joined", "none"),
    _claim("And the gate is better than nothing, where nothing reads all that users did.", "CR, gate", "none, all events"),
    _claim("What the gate gains is more on small scenarios than on large ones.", "CR, gate", "none", SHRINKS),
    _claim("On the largest scenario it loses no more than 0.002.", "CR, gate", "none", EACH[0], margin=0.002, form="not worse"),
    _claim("Cross representations beside the user's own are better than these alone.", "UR and CR, joined", "UR, joined"),
    _claim("A hidden layer is better than a linear map of both.", "UR and CR, mlp", "UR and CR, joined"),
    _claim(
        "Cross representations of the last layer are better than of embeddings.", "CR, gate, last layer", "CR, gate, embeddings"
    ),
    _claim("The item's representations add to the user's.", "all, gate", "CR, gate"),
    _claim("A block that starts from the upstream's weights is better than one that does not.", "block", "block, random"),
    _claim("Summed once over all, they pretend more on the day that stops training.", "CR, gate, leaking", "CR, gate", STOPS),
    _claim(
        "Retrieval by the upstream's vectors finds more for cold users than by new ones.",
        "retrieval, CR",
        "retrieval, fresh",
        COLD,
    ),
)
ARMS: Mapping[str, Mapping[str, Any]] = {
    "none": {"reads": ()},
    "none, all events": {"reads": (), "all_events": True},
    "UR, joined": {"reads": ("UR",), "adapter": "linear"},
    "CR, joined": {"reads": ("CR",), "adapter": "linear"},
    "UR and CR, joined": {"reads": ("UR", "CR"), "adapter": "linear"},
    "UR and CR, mlp": {"reads": ("UR", "CR"), "adapter": "mlp"},
    "CR, gate": {"reads": ("CR",)},
    "CR, gate, embeddings": {"reads": ("CR",), "layer": "first"},
    "CR, gate, last layer": {"reads": ("CR",), "layer": "last"},
    "CR, gate, leaking": {"reads": ("CR",), "leaking": True},
    "CR and item CR, gate": {"reads": ("CR", "item CR")},
    "all, gate": {"reads": ("UR", "CR", "IR", "item CR")},
    "block": {"reads": (), "isomorphic": True},
    "block, random": {"reads": (), "isomorphic": "random"},
    "retrieval, fresh": {"retrieval": True, "reads": "UR", "fresh": True},
    "retrieval, UR": {"retrieval": True, "reads": "UR"},
    "retrieval, CR": {"retrieval": True, "reads": "CR"},
}
NOT_IN_HALF_AN_HOUR = "CR, joined", "CR and item CR, gate", "retrieval, UR"
"""Arms that no claim is about: the cpu budget goes without them."""


def work(budget: Budget) -> Trials:
    ranker: dict[str, Any] = {"epochs": 30, "patience": 3, "weight_decay": 1e-4}
    retriever: dict[str, Any] = {"epochs": 30, "patience": 3, "weight_decay": 1e-4}
    upstream: dict[str, Any] = {"epochs": 10, "patience": 2, "learning_rate": 3e-3, "weight_decay": 1e-4}
    world: dict[str, Any] = {
        "position_bias": 0.0, "random_share": 1.0, "items": 2000, "nearest": 60, "popular": 30, "uniform": 10, "slots": 10,
        "ctr": 0.3,
    }  # fmt: skip
    setting: dict[str, Any] = {
        "data": "surfaces", "log": {"world": world}, "train": ranker, "retriever": retriever, "upstream": {"train": upstream},
        "batch_size": 16, "k": 100,
    }  # fmt: skip
    # a rating is a list of one, so a batch is of more lists; a quarter of an hour holds four genres
    few = {"batch_size": 256, "upstream": {"batch_size": 512, "train": upstream}}
    films = {**setting, **few, "data": "movielens-latest-small", "log": {"genres": 4 if budget == "cpu" else 8}}
    rates: tuple[float, ...] = (2e-3, 6e-3)
    if budget == "smoke":
        world |= {
            "users": 60, "items": 200, "topics": 8, "dim": 8, "nearest": 10, "popular": 6, "uniform": 4, "considered": 10,
            "slots": 8,
        }  # fmt: skip
        log = {"world": world, "surfaces": 3, "zipf": 0.5, "warm_days": 1, "upstream_days": 3, "window_days": 2, "test_days": 1}
        once = {"epochs": 1}
        setting |= {
            "log": {**log, "judged": 10}, "train": {**ranker, **once}, "retriever": {**retriever, **once}, "k": 20,
            "upstream": {"train": {**upstream, **once}},
        }  # fmt: skip
        films = {**setting, "data": genres.MADE_UP, "log": {"genres": 2, "of": 2}, "batch_size": 128}
        rates = rates[:1]
    return Trials(
        data="scenarios",
        arms={
            arm: TrialArm({"arm": arm}, [{"learning_rate": rate} for rate in rates])
            for arm in ARMS
            if budget != "cpu" or arm not in NOT_IN_HALF_AN_HOUR
        },
        settings={_MAIN: setting, _FILMS: films},
        described={
            _MAIN: _described(parse(SurfacesConfig, setting["log"], where="lfm4ads")),
            _FILMS: genres.described(parse(GenresConfig, films["log"], where="lfm4ads")),
        },
        seeds={"smoke": 1, "cpu": 5, "full": 20}[budget],
        metrics=METRICS,
        run=run,
        open_data=lambda folder: digest([setting, genres.open_films(folder, films["data"])]),
        unit="worlds",
    )


def run(setting: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Figures:
    """One arm with one learning rate on one world, every scenario by itself."""
    how, data, of = ARMS[arm["arm"]], setting["data"], frozen(setting["log"])
    known = _known(data, of, frozen(setting["upstream"]), seed, how.get("layer", "best"), how.get("leaking", False))
    parts = [part.knowing(known) for part in _log(data, of, seed).parts]
    train = {"learning_rate": arm["learning_rate"]}
    find = _retrieving if how.get("retrieval") else _ranking
    found = find(setting, how, train, parts, known, seed)
    return {name: np.array([value]) for name, value in found.items()}


def _ranking(
    setting: Mapping[str, Any], how: Mapping[str, Any], train: Mapping[str, Any], parts: list[Scenario], known: Foundation,
    seed: int,
) -> dict[str, float]:  # fmt: skip
    settings = {
        "loss": "pointwise", "batch_size": setting["batch_size"], "reads": how["reads"], "adapter": how.get("adapter", "gate"),
        "isomorphic": how.get("isomorphic", False), "train": {**setting["train"], **train},
    }  # fmt: skip
    tested, stopping, loss = [], [], []
    for part in parts:
        read = part.reading_all() if how.get("all_events") else part
        scorer = trained(LFM4Ads, settings, read, read.lists, seed, more={"foundation": known})
        tested.append(auc(predicted(scorer, read.test), read.test.click))
        stopping.append(_auc_of(scorer, read))
        loss.append(-value_of_ranker(scorer, read.held))
    small, large = halves(len(parts))
    layer = float(known.settings["layer"].removeprefix("CR"))
    return {
        SMALL: float(np.mean(tested[small])), LARGE: float(np.mean(tested[large])),
        SHRINKS: float(np.mean(tested[small]) - np.mean(tested[large])), STOPS: float(np.nanmean(stopping[small])),
        LAYER: layer, VALID: float(np.mean(loss)), **dict(zip(EACH, tested, strict=False)),
    }  # fmt: skip


def _retrieving(
    setting: Mapping[str, Any], how: Mapping[str, Any], train: Mapping[str, Any], parts: list[Scenario], known: Foundation,
    seed: int,
) -> dict[str, float]:  # fmt: skip
    settings = {
        "reads": how["reads"], "fresh": how.get("fresh", False), "batch_size": 128, "train": {**setting["retriever"], **train},
    }  # fmt: skip
    found, values = [], []
    for part in parts:
        retriever, value = retriever_of(part, known, settings, seed, setting["k"])
        found.append(part.cold.found(retriever, part.chosen.available, setting["k"]))
        values.append(value)
    small, _ = halves(len(parts))
    got, there = np.sum(found[small], axis=0)
    return {VALID: -float(np.mean(values)), **({COLD: float(got / there)} if there else {})}


def halves(scenarios: int) -> tuple[slice, slice]:
    """Places of the small ones and of the large."""
    return slice(scenarios // 2, None), slice(0, max(scenarios // 4, 1))


def _auc_of(scorer: Any, part: Scenario) -> float:
    """Of the clicks that were drawn on the day that stops training; NaN where there is one outcome alone."""
    known, label = part.held.known, part.held.label.astype(np.float64)
    assert known is not None
    clicked = label[known]
    if not 0 < clicked.sum() < len(clicked):
        return float("nan")
    return auc(logits_for(scorer, part.held)[known].astype(np.float64), clicked)


@lru_cache(maxsize=32)
def _log(data: str, of: tuple[Any, ...], seed: int) -> Scenarios:
    """The same for all arms."""
    if data == "surfaces":
        return lived(parse(SurfacesConfig, thawed(of), where="lfm4ads"), seed)
    return genres.split(data, parse(GenresConfig, thawed(of), where="lfm4ads"))


@lru_cache(maxsize=32)
def _upstream(data: str, of: tuple[Any, ...], settings: tuple[Any, ...], seed: int) -> Upstream:
    return Upstream.of(_log(data, of, seed), thawed(settings), seed)


@lru_cache(maxsize=128)
def _known(data: str, of: tuple[Any, ...], settings: tuple[Any, ...], seed: int, layer: str, leaks: bool) -> Foundation:
    """layer: "first", "last", or "best", as the search has it."""
    upstream = _upstream(data, of, settings, seed)
    name = {"first": upstream.layers[0], "last": upstream.layers[-1], "best": upstream.searched.best}[layer]
    return upstream.leaked(name) if leaks else upstream.known(name)


def frozen(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """Settings that can be told apart by a cache."""
    return tuple((name, frozen(of) if isinstance(of, Mapping) else of) for name, of in settings.items())


def thawed(settings: tuple[Any, ...]) -> dict[str, Any]:
    return {name: thawed(of) if isinstance(of, tuple) else of for name, of in settings}


def _described(one: SurfacesConfig) -> str:
    world = one.world
    return (
        f"{world.users:,} users, {world.items:,} items; {one.surfaces} surfaces with shares of 1 / rank^{one.zipf:g} of the "
        f"requests, each with its own rate of clicks and liked topics (deviation {one.shift:g} and {one.likings:g} logits); "
        f"{world.slots} of {world.recalled} recalled shown, drawn uniformly; an upstream of {one.upstream_days} days, then "
        f"{one.window_days} days of each surface by itself, {one.test_days} days tested by true chances"
    )
