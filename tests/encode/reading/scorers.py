"""A plain ranker on texts, and items with words to read: what the tests of this room share."""

import numpy as np
import torch
from torch import nn

from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Requests
from headrace.contracts.training import TrainConfig
from headrace.encode.reading.reader import ReaderConfig
from headrace.encode.reading.text_scorer import TextConfig, TextScorer
from headrace.nn.pooling import mean_over
from headrace.nn.seeded import seeded
from headrace.testing.examples import HOUR_US, history_of
from headrace.train.trainer import train
from tests.methods.examples import featured, inputs

WORDS = ["iron", "green", "kettle", "pot", "cup", "white", "black"]
TEXTS = ("", *(f"a {WORDS[i % 7]} and a {WORDS[i % 3]} of {WORDS[i % 5]}, number {i}" for i in range(1, 20)))
"""Of items 0 to 19."""
SILENT = 7
TEXTS = (*TEXTS[:SILENT], "", *TEXTS[SILENT + 1 :])
READER = ReaderConfig(dim=8, heads=2, vocabulary=300, tokens=8)
SMALL = TextConfig(reader=READER, side_dim=4, history=5, width=4, batch_size=8)


class Plain(TextScorer):
    """The mean state, mapped; a user is the mean over what they chose, and reads the tokens of it as well."""

    Config = TextConfig
    revision = 1

    def _layers(self):
        self.out = nn.Linear(self.reader.dim, self.config.vectors * self.config.side_dim)

    def _pooled(self, states, there):
        return self.out(mean_over(states, there)).unflatten(-1, (self.config.vectors, -1))

    def _user_side(self, batch):
        items = self.known(batch["history"])
        ids = self.tokens[items].long().flatten(1)
        read = self._pooled(self.reader.states(ids, ids > 0), ids > 0) * (ids > 0).any(1).view(-1, 1, 1)
        return {"side": read + mean_over(self.items(items).flatten(2), items > 0).view_as(read)}


def learned(kind=Plain, settings=SMALL, lists=None, texts=TEXTS, sizes=None):
    """The model, what it is trained on, and its lists."""
    interactions, artifacts = featured(lists, sizes or {})
    model = kind(settings)
    with seeded(0, "init"):
        made = model.learn(interactions, {**artifacts, "item_texts": texts})
    return model, made, artifacts["candidate_lists"]


def share_found(kind, settings, *, epochs=6, learning_rate=0.01):
    """Of each request's four candidates one is of the word that the user's items are of. Of other requests than it learned from,
    how often it puts that one first; a guess finds a quarter."""
    lists, _ = of_a_word()
    model, made, _ = learned(kind, settings, lists, OF_A_WORD)
    settings = TrainConfig(epochs=epochs, learning_rate=learning_rate, device="cpu")
    train(made, settings, seed=0, artifacts=dict.fromkeys(made.needs))
    others, place = of_a_word(seed=1)
    with torch.no_grad():
        user, candidates = inputs(model.eval(), others)
        best = model.score(model.user(user), candidates).logits["choice"].argmax(1)
    return (best.numpy() == place).mean()


OF_A_WORD = ("", *(f"{WORDS[i % 4]} number {i}" for i in range(19)))


def of_a_word(n=200, seed=0):
    """The lists, and the place of the chosen."""
    draw = np.random.default_rng(seed)
    word, order = draw.integers(4, size=n), draw.permuted(np.tile(np.arange(4), (n, 1)), axis=1)
    past, shown = (1 + of + 4 * draw.integers(4, size=of.shape) for of in (np.tile(word[:, None], 3), order))
    place, said = (order == word[:, None]).argmax(1), np.zeros((n, 4), np.float32)
    ids, users = np.array([f"request-{number}" for number in range(n)]), np.arange(1, n + 1, dtype=np.int32)
    requests = Requests(ids, users, np.full(n, 9 * HOUR_US), history_of(past.tolist()))
    chosen = history_of(shown[np.arange(n), place][:, None].tolist())
    return CandidateLists.of(requests, Candidates(shown.astype(np.int32), {"one": said, "two": said}), chosen), place
