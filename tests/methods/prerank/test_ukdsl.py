import numpy as np
import pytest

from headrace.methods.prerank.ukdsl import UKDSL, UKDSLConfig
from headrace.testing import check_pseudo_labeler
from tests.methods.prerank.impressions import Teacher, some_impressions


@pytest.mark.parametrize("recalled", [0.0, 0.25, 1.0])
def test_contract(recalled):
    check_pseudo_labeler(UKDSL(UKDSLConfig(considered=4, recalled=recalled)), some_impressions(), {"teacher": Teacher()})


def labelled(settings):
    lists, labeler = some_impressions(), UKDSL(settings)
    labeler.fit(lists, {"teacher": Teacher()})
    return lists.unshown, labeler.label(lists.requests, lists.unshown)


def test_every_request_weighs_alike_a_candidate():
    unshown, found = labelled(UKDSLConfig(considered=3, recalled=0.5))
    some = unshown.there.any(1)
    np.testing.assert_allclose(found.weight.sum(1)[some], unshown.there.sum(1)[some], rtol=1e-6)
    assert not some.all(), "a request of which all was shown weighs nothing"


def test_what_was_considered_counts_more_than_what_was_recalled():
    """By the place in the whole list: what was shown takes one."""
    unshown, found = labelled(UKDSLConfig(considered=3, recalled=0.5))
    both = unshown.there[:, :3].any(1) & unshown.there[:, 3:].any(1)
    assert both.sum() > 5
    near, far = (np.where(part > 0, part, np.nan)[both] for part in (found.weight[:, :3], found.weight[:, 3:]))
    np.testing.assert_allclose(np.nanmax(near, 1), 2 * np.nanmin(far, 1), rtol=1e-6)


def test_without_recalled_ones_the_rest_is_left_alone():
    _, found = labelled(UKDSLConfig(considered=3, recalled=0.0))
    assert not found.weight[:, 3:].any()
    assert found.weight[:, :3].any()


def test_the_teacher_is_passed_on_at_temperature_one():
    unshown, found = labelled(UKDSLConfig())
    np.testing.assert_array_equal(found.label[unshown.there], (unshown.items / 40).astype(np.float32)[unshown.there])
    assert set(UKDSLConfig.__dataclass_fields__) == {"considered", "recalled"}
