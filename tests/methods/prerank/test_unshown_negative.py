from headrace.methods.prerank.unshown_negative import UnshownNegative
from headrace.testing import check_pseudo_labeler
from tests.methods.prerank.impressions import some_impressions


def test_contract():
    check_pseudo_labeler(UnshownNegative(UnshownNegative.Config()), some_impressions(), {})


def test_all_that_nobody_saw_is_refused():
    lists = some_impressions()
    labeler = UnshownNegative(UnshownNegative.Config())
    labeler.fit(lists, {})
    found = labeler.label(lists.requests, lists.unshown)
    assert not found.label.any()
    assert (found.weight == (lists.candidates.there & ~lists.known)).all()
