import numpy as np
import pytest

from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Candidates
from headrace.methods.prerank.muda import Muda, MudaConfig
from headrace.testing import check_pseudo_labeler
from headrace.testing.examples import some_requests
from tests.methods.prerank.impressions import Teacher, some_impressions


def test_contract():
    check_pseudo_labeler(Muda(MudaConfig(positive=0.2)), some_impressions(), {"teacher": Teacher()})


def test_only_the_tails_are_kept_and_hard():
    """Of the items that were not shown: the lowest half is 0, the highest tenth 1, the rest is not labelled."""
    lists = some_impressions(n=200)
    labeler = Muda(MudaConfig(positive=0.1, negative=0.5))
    labeler.fit(lists, {"teacher": Teacher()})
    items = lists.unshown.items[lists.unshown.there]
    low, high = np.quantile(items, [0.5, 0.9])
    asked = Candidates(np.arange(20, dtype=np.int32)[None], {})
    found = labeler.label(some_requests(1), asked)
    for item in range(1, 20):
        wanted = (1, 1) if item >= high else (0, 1) if item <= low else (0, 0)
        assert (found.label[0, item], found.weight[0, item]) == wanted, item


def test_nothing_unshown_to_learn_thresholds_from():
    lists = some_impressions()
    lists = lists.take(np.array([5]))
    labeler = Muda(MudaConfig())
    labeler.fit(lists, {"teacher": Teacher()})
    assert not labeler.label(lists.requests, lists.unshown).weight.any()


def test_shares_that_overlap_are_refused():
    with pytest.raises(ConfigError, match=r"add up to 1.2: at most 1"):
        MudaConfig(positive=0.6, negative=0.6)
