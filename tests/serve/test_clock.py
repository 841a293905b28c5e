import pytest

from headrace.serve.clock import Clock


def test_it_tells_what_the_work_took_and_nothing_of_work_that_failed():
    took, inner = list[float](), list[float]()
    with Clock(took.append, Clock(inner.append)):
        pass
    assert 0 <= inner[0] <= took[0]
    with pytest.raises(ValueError, match="no"), Clock(took.append, Clock(inner.append)):
        raise ValueError("no")
    assert len(took) == len(inner) == 1
