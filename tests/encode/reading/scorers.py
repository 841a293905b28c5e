"""A plain ranker on texts, and items with words to read: what the tests of this room share."""

from torch import nn

from headrace.encode.reading.reader import ReaderConfig
from headrace.encode.reading.text_scorer import TextConfig, TextScorer
from headrace.nn.pooling import mean_over
from headrace.nn.seeded import seeded
from tests.methods.examples import featured

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
