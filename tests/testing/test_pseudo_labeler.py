"""Each promise of a labeler is broken once, and the suite has to say which."""

import numpy as np
import pytest

from headrace.contracts.seams import PseudoLabels
from headrace.methods.prerank.unshown_negative import UnshownNegative
from headrace.testing import check_pseudo_labeler
from tests.methods.prerank.impressions import some_impressions


class Broken(UnshownNegative):
    def __init__(self, change):
        super().__init__(self.Config())
        self.change = change

    def label(self, requests, unshown):
        right = super().label(requests, unshown)
        return self.change(right.label, right.weight, requests)


BROKEN = {
    "label is above 1": lambda label, weight, requests: PseudoLabels(label + np.float32(2), weight),
    "label is below 0": lambda label, weight, requests: PseudoLabels(label - np.float32(1), weight),
    "label is not finite": lambda label, weight, requests: PseudoLabels(label + np.float32(np.nan), weight),
    "weight is below 0": lambda label, weight, requests: PseudoLabels(label, -weight),
    "weight is not 0 where there is no unshown candidate": lambda label, weight, requests: PseudoLabels(label, weight + 1),
    "not float32": lambda label, weight, requests: PseudoLabels(label[:, :1], weight),
    "no opinion": lambda label, weight, requests: PseudoLabels(label, weight * 0),
    "Another label from Broken, asked of some requests": lambda label, weight, requests: PseudoLabels(
        label + np.float32(0.1 * (len(requests) > 20)), weight
    ),
    "Another weight from Broken, asked of some requests": lambda label, weight, requests: PseudoLabels(
        label, weight / max(weight.mean(), np.float32(1e-9))
    ),
}


@pytest.mark.parametrize("says", BROKEN)
def test_a_broken_labeler(says):
    with pytest.raises(AssertionError, match=says):
        check_pseudo_labeler(Broken(BROKEN[says]), some_impressions(), {})


def test_what_it_needs_has_to_be_there():
    labeler = UnshownNegative(UnshownNegative.Config())
    labeler.needs = ("teacher",)
    with pytest.raises(AssertionError, match="needs teacher, and the example has: none"):
        check_pseudo_labeler(labeler, some_impressions(), {})
