from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import chi2

from headrace.flywheel.experiment.normal import below, chi_square_above, quantile, two_sided


def test_against_the_standard_library():
    z = np.linspace(-4, 4, 9)
    assert below(z) == pytest.approx([NormalDist().cdf(one) for one in z], abs=1e-12)
    assert quantile(below(z)) == pytest.approx(z)
    assert two_sided(-1.959963984540054) == pytest.approx(0.05)
    assert chi_square_above(10.83, 1) == pytest.approx(chi2.sf(10.83, 1))
