from dataclasses import replace

import numpy as np
import pytest

from headrace.cascade.calibrated import Calibrated, known_of
from headrace.cascade.scoring import Scoring, logits_of, scored
from headrace.contracts.errors import ConfigError, DataError
from headrace.methods.rank.calibrators import CALIBRATORS
from tests.methods.rank.test_dcnv2 import SMALL, learned

BY = "user.age"


@pytest.fixture(scope="module")
def ranker():
    """A pointwise ranker, its lists, and its logits of them."""
    model, _, lists = learned(settings=replace(SMALL, loss="pointwise"))
    model.eval()
    return model, lists, logits_of(model, lists.requests, lists.candidates)


@pytest.mark.parametrize("name", sorted(CALIBRATORS))
@pytest.mark.parametrize("by", [None, BY])
def test_order_inside_a_request_stays_and_scores_are_logits(name, by, ranker):
    model, lists, logits = ranker
    calibrated = Calibrated.fitted(name, by, logits, lists)
    plain = Scoring("rank", "dcnv2", model, 4)
    before, kept_before = scored(plain, lists.requests, lists.candidates)
    after, kept = scored(replace(plain, calibrated=calibrated), lists.requests, lists.candidates)
    np.testing.assert_array_equal(after.items, before.items)
    np.testing.assert_array_equal(kept.items, kept_before.items)
    np.testing.assert_array_equal(after.scores["rank"], calibrated(before.scores["rank"], lists.requests))
    assert after.scores["rank"].dtype == np.float32
    assert np.array_equal(np.isnan(after.scores["rank"]), ~after.there)
    known = known_of(lists)
    said = 1 / (1 + np.exp(-calibrated(logits, lists.requests)[known].astype(np.float64)))
    # on its own rows as many as there were: up to the smoothed labels, and float32
    assert said.sum() == pytest.approx(lists.label[known].sum(), rel=0.02)


@pytest.mark.parametrize("by", [None, BY])
def test_it_is_read_back_as_it_was(by, ranker):
    _, lists, logits = ranker
    for name in CALIBRATORS:
        made = Calibrated.fitted(name, by, logits, lists)
        again = Calibrated.from_arrays(name, by, made.arrays())
        np.testing.assert_array_equal(again(logits, lists.requests), made(logits, lists.requests))


def test_rows_whose_labels_are_not_known_have_no_say(ranker):
    _, lists, logits = ranker
    known = np.zeros(lists.label.shape, np.bool_)
    known[:, :3] = True
    some = replace(lists, known=known)
    other = np.where(known, logits, 50.0).astype(np.float32)
    wild = replace(some, label=np.where(known, lists.label, 1.0).astype(np.float32))
    wanted, found = (Calibrated.fitted("platt", BY, *given).arrays() for given in ((logits, some), (other, wild)))
    assert all(np.array_equal(found[name], values) for name, values in wanted.items())


def test_a_feature_that_users_do_not_have(ranker):
    _, lists, logits = ranker
    with pytest.raises(ConfigError, match=r'calibrate_by = "user.town" is no feature of users. They have: user.age'):
        Calibrated.fitted("platt", "user.town", logits, lists)


def test_nothing_positive_is_an_error(ranker):
    _, lists, logits = ranker
    with pytest.raises(DataError, match=r"0 of the .* rows that are held out are positive"):
        Calibrated.fitted("platt", None, logits, replace(lists, label=np.zeros_like(lists.label)))
