import pytest

from headrace.serve.clock import Clock


def test_it_tells_what_the_work_took_and_nothing_of_work_that_failed():
    took = list[float]()
    with Clock(took.append):
        pass
    assert took[0] >= 0
    with pytest.raises(ValueError, match="no"), Clock(took.append):
        raise ValueError("no")
    assert len(took) == 1
