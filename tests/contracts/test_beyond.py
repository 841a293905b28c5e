import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from headrace.contracts.beyond import Beyond


@given(
    widths=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    numbers=st.sets(st.integers(5, 12), min_size=1),
    asked=arrays(np.int64, (2, 3), elements=st.integers(0, 99)),
)
def test_it_is_looked_up_as_one_array_of_all_would_be(widths, numbers, asked):
    held = np.array(sorted(numbers), np.int32)
    base = 1 + np.arange(5 * widths[0], dtype=np.int32).reshape(5, widths[0])
    more = 100 + np.arange(len(held) * widths[1], dtype=np.int32).reshape(len(held), widths[1])
    whole = np.zeros((held[-1] + 1, max(widths)), np.int32)
    whole[:5, : widths[0]], whole[held, : widths[1]] = base, more
    items = np.concatenate([np.arange(5), held])[asked % (5 + len(held))]
    found = Beyond(base, held, more)
    assert found.shape == whole.shape
    assert len(found) == len(whole)
    np.testing.assert_array_equal(found[items], whole[items])
    np.testing.assert_array_equal(
        Beyond(base[:, 0] > 2, held, more[:, 0] > 0)[items], np.r_[base[:, 0] > 2, np.full(8, True)][np.minimum(items, 5)]
    )
