import numpy as np

from headrace.methods.prerank.distil import Distil
from headrace.testing import check_pseudo_labeler
from tests.methods.prerank.impressions import Teacher, some_impressions


def test_contract():
    check_pseudo_labeler(Distil(Distil.Config()), some_impressions(), {"teacher": Teacher()})


def test_the_label_is_the_teachers_probability_as_it_is():
    lists = some_impressions()
    labeler = Distil(Distil.Config())
    labeler.fit(lists, {"teacher": Teacher()})
    found, there = labeler.label(lists.requests, lists.unshown), lists.unshown.there
    np.testing.assert_array_equal(found.label[there], (lists.candidates.items / 40).astype(np.float32)[there])
    np.testing.assert_array_equal(found.weight, there.astype(np.float32))
