import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import ConfigError
from headrace.data.crosses import BUCKETS, check_crosses, crossed, name_of, side_of, size_of

PAIR = ("user.city", "item.colour")


@given(st.integers(2, 9), st.integers(2, 9))
def test_each_pair_has_a_code_of_its_own(first, second):
    sizes = dict(zip(PAIR, (first, second), strict=True))
    a, b = np.arange(first, dtype=np.int32)[:, None], np.arange(second, dtype=np.int32)[None]
    codes = crossed(a, b, PAIR, sizes)
    assert (codes[0] == 0).all()
    assert (codes[:, 0] == 0).all()
    assert sorted(codes[1:, 1:].ravel().tolist()) == list(range(1, size_of(PAIR, sizes)))


def test_too_many_pairs_share_buckets():
    sizes = dict(zip(PAIR, (5000, 5000), strict=True))
    draw = np.random.default_rng(0)
    a, b = (draw.integers(1, 5000, 20_000).astype(np.int32) for _ in range(2))
    codes = crossed(a, b, PAIR, sizes)
    assert size_of(PAIR, sizes) == BUCKETS + 1
    assert codes.min() >= 1
    assert codes.max() <= BUCKETS
    assert len(np.unique(codes)) > 17_000  # 20,000 balls in 100,000 buckets leave about 18,100 hit
    assert np.array_equal(codes, crossed(a, b, PAIR, sizes))


def test_names_say_the_side():
    assert [name_of(pair) for pair in (("user.a", "user.b"), ("item.a", "item.b"), PAIR)] == [
        "user.a*b", "item.a*b", "pair.user.city*item.colour",
    ]  # fmt: skip
    assert side_of(PAIR) == "pair"


def test_what_can_not_be_crossed_is_said():
    sizes = {"item.colour": 3, "item.categories": 9}
    with pytest.raises(ConfigError, match=r'"item.color" is not a feature.*Did you mean "item.colour"'):
        check_crosses([("item.color", "item.colour")], sizes, [])
    with pytest.raises(ConfigError, match='"item.categories" is a list'):
        check_crosses([("item.colour", "item.categories")], sizes, ["item.categories"])
