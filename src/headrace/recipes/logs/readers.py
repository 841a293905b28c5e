"""Rankers that read films' words, trained alike on `films_read` and asked alike: once with all they may read, once with less.

All have one reader's sizes, the same tokens of the same texts (genres, title, overview, cut), epochs and lists; nothing stands
beside the text, so popularity and what a film's number is say nothing. "newest 5 read" is the same trained ranker on the same
lists, where the histories that it is asked with are cut: how much it makes of the films in between is `GAINED`.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, reduce
from pathlib import Path
from typing import Any

import numpy as np

from headrace.build.components import component_class
from headrace.cascade.validation import logits_for, value_of_ranker
from headrace.contracts.config import parse
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Float32, Float64, Int64
from headrace.data import datasets
from headrace.data.summaries import ExtractiveConfig, ItemWords, Summaries, extracted, words_of
from headrace.methods.rank import RANKERS
from headrace.recipes.logs.films_made_up import write_films
from headrace.recipes.logs.films_read import Films, FilmsRead, FilmsReadConfig, films_read
from headrace.recipes.logs.one_liked import AUC, METRICS, by_user, figures_of_lists
from headrace.recipes.logs.students import trained
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import VALID

MADE_UP = "films made up"
NEWCOMERS, FEWER, GAINED = "AUC, newcomers", "AUC, newest 5 read", "AUC gained by reading more"
FIGURES = (*METRICS, NEWCOMERS, FEWER, GAINED)
NEWEST_FIVE = 5
READ = ("genres", "title", "overview")
"""Of a film, in this order: what is longer than a reader's tokens is cut."""
_RANKERS = {
    **RANKERS,
    "mean of starts": "headrace.recipes.logs.starts:MeanOfStarts",
    "genre head": "headrace.recipes.logs.genre_head:GenreHead",
}
_GENRES = ExtractiveConfig(of="categories", liked=3)


def setting_of(budget: Budget) -> tuple[dict[str, Any], tuple[float, ...], int]:
    """What arms have in common, the learning rates each may choose from, and how many seeds."""
    reader: dict[str, Any] = {"dim": 32, "layers": 1, "heads": 2, "vocabulary": 2000, "tokens": 16}
    history, lists = 15, {"newest": 15, "train": 8}
    train: dict[str, Any] = {"epochs": 4, "patience": 2, "weight_decay": 1e-4}
    rates: tuple[float, ...] = (1.5e-3, 3e-3)
    data, seeds = "movielens-latest-small", 5
    if budget == "smoke":
        reader, history = {**reader, "dim": 8, "vocabulary": 300}, 6
        lists = {"newest": history, "least": 12, "known": 3, "train": 2, "test": 2, "others": 11}
        data, rates, seeds, train = MADE_UP, rates[:1], 1, {**train, "epochs": 1}
    if budget == "full":
        reader = {"dim": 64, "layers": 2, "heads": 4, "vocabulary": 4000, "tokens": 48}
        history, lists, train, seeds = 30, {"newest": 30, "train": 40}, {**train, "epochs": 15, "patience": 3}, 10
    # five of a list: the liked film and four others, drawn anew each epoch, as the papers have it
    ranker = {"reader": reader, "history": history, "side_dim": 32, "batch_size": 32, "width": 5}
    return {"data": data, "lists": lists, "ranker": ranker, "train": train}, rates, seeds


def described(setting: Mapping[str, Any]) -> str:
    lists, reader = parse(FilmsReadConfig, setting["lists"], where="films"), setting["ranker"]["reader"]
    return (
        f"users with {lists.least} and more liked films: their newest {lists.test}, each among {lists.others} that others liked "
        f"by then; {lists.apart:.0%} of the users are never learned from, of the others {lists.train} earlier films; "
        f"{setting['ranker']['history']} films read, {reader['tokens']} tokens of genres, title and overview each; AUC is "
        "averaged over lists. A seed draws first weights, the lists that are learned from, and the others"
    )


def open_films(folder: Path, data: str) -> str:
    """Its digest. folder: where what is made up is put."""
    tables = folder / "films" if data == MADE_UP else datasets.get(data)
    if data == MADE_UP:
        tables.mkdir(parents=True, exist_ok=True)
        write_films(tables)
    _opened[data] = Films.of(tables)
    asked.cache_clear()
    return _opened[data].digest


_opened: dict[str, Films] = {}


@lru_cache(maxsize=10)
def asked(data: str, lists: tuple[tuple[str, Any], ...], seed: int) -> FilmsRead:
    """The same for all arms."""
    return films_read(_opened[data], parse(FilmsReadConfig, dict(lists), where="films"), seed)


def asked_of(setting: Mapping[str, Any], seed: int) -> FilmsRead:
    return asked(setting["data"], tuple(setting["lists"].items()), seed)


def reader_of(setting: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Any:
    """One arm's ranker, trained."""
    of = asked_of(setting, seed)
    kind = component_class(arm["ranker"], _RANKERS, "readers")
    settings = {
        **setting["ranker"], **arm.get("settings", {}), "beside": False,
        "train": {**setting["train"], "learning_rate": arm["learning_rate"]},
    }  # fmt: skip
    more = {"item_texts": of.films.texts(*READ), "summaries": written(of, arm.get("summaries", "none"))}
    return trained(kind, settings, of, of.lists, seed, more=more)


def figures(scorer: Any, of: FilmsRead) -> dict[str, Float64]:
    """By user, in the order of their numbers; NEWCOMERS of those alone that nobody learned from."""
    valid = np.array([-value_of_ranker(scorer, of.held)])
    return {**figures_by(lambda lists: logits_for(scorer, lists), of), VALID: valid}


def figures_by(scores: Any, of: FilmsRead) -> dict[str, Float64]:
    """scores: lists -> [R, C]."""
    test = of.test
    users = test.requests.users
    cut = replace(test, requests=replace(test.requests, history=test.requests.history.newest(NEWEST_FIVE)))
    found = {name: by_user(values, users) for name, values in figures_of_lists(scores(test), test).items()}
    fewer = by_user(figures_of_lists(scores(cut), test)[AUC], users)
    return {**found, NEWCOMERS: found[AUC][of.apart[np.unique(users)]], FEWER: fewer, GAINED: found[AUC] - fewer}


def in_every_seed(setting: Mapping[str, Any], newcomers: bool, seed: int, seeds: int) -> Int64:
    """Places among a seed's users, or its newcomers, of those who are asked with every seed: now and then one who rated nearly
    all that is popular has others enough in one draw and not in another."""
    users = [np.unique(asked_of(setting, one).test.requests.users) for one in range(seeds)]
    mine, of_all = users[seed], reduce(np.intersect1d, users)
    if newcomers:
        mine = mine[asked_of(setting, seed).apart[mine]]
    return np.flatnonzero(np.isin(mine, of_all))


def written(of: FilmsRead, how: str) -> Summaries:
    """Of what each user had liked before any list that is learned from or asked."""
    if how == "none":
        return Summaries.none(len(of.early.history))
    return extracted(of.early.history, _words(of.films), _GENRES)


def three_genres(of: FilmsRead, lists: CandidateLists) -> list[set[str]]:
    """The genres that weigh most in what each request's user had liked by then, of all they had."""
    requests = lists.requests
    whole = of.films.log.store.as_of(requests.users, requests.at_us)
    said = extracted(whole, _words(of.films), replace(_GENRES, newest=0)).texts
    return [named(text) for text in said]


def named(text: str) -> set[str]:
    """Genres that a sentence says are liked, the first three; `text` may be anything."""
    liked = text.split(";")[0].strip().removeprefix("likes ")
    return {one.strip() for one in liked.split(",")[: _GENRES.liked] if one.strip()}


def _words(films: Films) -> ItemWords:
    """Genres alone, weighed over all films."""
    kinds = [[name for name, has in zip(films.names, row, strict=True) if has] for row in films.genres]
    return words_of(("",) * len(kinds), kinds, settings=_GENRES)


@lru_cache(maxsize=1)
def sentence_vectors(data: str, tokens: int) -> Float32:
    """[n_items, 384] of all-MiniLM-L6-v2, frozen, of the films' texts cut alike."""
    from headrace.encode.minilm import minilm
    from headrace.encode.sentences import SentencesConfig

    texts = _opened[data].texts(*READ)
    found: Float32 = minilm(SentencesConfig(length=tokens, threads=1)).encode(texts, "item")
    found[[not text for text in texts]] = 0
    return found


def by_likeness(vectors: Float32, lists: CandidateLists, newest: int) -> Float32:
    """[R, C]: of each candidate to the mean of the newest films' vectors."""
    past = vectors[lists.requests.history.last(newest)].sum(1)
    return np.asarray(np.einsum("rd,rcd->rc", past, vectors[lists.candidates.items]))
