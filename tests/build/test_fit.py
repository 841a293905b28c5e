"""Closed-form stages: those without needs read the interactions alone, those with needs get them by name."""

import numpy as np
import pytest

from headrace.artifacts.store import Store
from headrace.build.fit import Source, fit, fitted
from headrace.build.graph import Graph
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.testing.examples import some_interactions

TABLE = {"plain": "tests.build.test_fit:Plain", "needy": "tests.build.test_fit:Needy"}


@config
class Settings:
    pass


class Plain:
    Config, revision = Settings, 1

    def __init__(self, config, *, seed=0):
        self.config, self.value = config, 0

    def fit(self, interactions):
        self.value = interactions.n_items

    def arrays(self):
        return {"value": np.array(self.value)}

    @classmethod
    def from_arrays(cls, config, arrays):
        made = cls(config)
        made.value = int(arrays["value"])
        return made


class Needy(Plain):
    needs = ("more",)

    def fit(self, interactions, artifacts=None):
        self.value = interactions.n_items + artifacts["more"]


@pytest.fixture
def graph(tmp_path):
    return Graph(Store(tmp_path / "store"))


def made(graph, name, **needs):
    source = Source(interactions=some_interactions, inputs={}, window={}, needs=lambda: needs)
    return fitted(fit(graph, "stage", name, {}, TABLE, source, seed=0, where="test"), TABLE)


def test_artifacts_are_given_where_they_are_needed(graph):
    assert made(graph, "plain", more=5).value == 20
    assert made(graph, "needy", more=5).value == 25


def test_a_missing_need_is_named(graph):
    with pytest.raises(ConfigError, match=r"stage needy needs the artifacts more, and has: other"):
        made(graph, "needy", other=1)
