import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.contracts.errors import HeadraceError
from headrace.train.nest import put_together, taken_apart

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
NESTS = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


def there_and_back(value):
    tensors: dict[str, torch.Tensor] = {}
    text = json.dumps(taken_apart(value, "nest", tensors))
    return put_together(json.loads(text), tensors)


@settings(max_examples=30)
@given(NESTS)
def test_it_comes_back_as_it_was(value):
    assert repr(there_and_back(value)) == repr(value)


def test_tensors_keep_their_place_type_and_bits():
    value: Any = {
        0: {"step": torch.tensor(3.0), "moments": [torch.rand(2, 3).bfloat16(), (torch.arange(3),)]},
        "tensor": math.nan,
    }
    back = there_and_back(value)
    assert back[0]["step"].equal(value[0]["step"])
    assert back[0]["moments"][0].equal(value[0]["moments"][0])
    assert back[0]["moments"][0].dtype == torch.bfloat16
    assert isinstance(back[0]["moments"][1], tuple)
    assert math.isnan(back["tensor"]), "and a key of that name is a key"


def test_what_cannot_be_kept_is_named():
    with pytest.raises(HeadraceError, match=r"balancer.seen.1 is a set: a checkpoint holds tensors"):
        taken_apart({"seen": [1, {2}]}, "balancer", {})
