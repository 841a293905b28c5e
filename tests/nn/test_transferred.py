import numpy as np
import torch
from torch.testing import assert_close

from headrace.nn.transferred import Transferred, as_bytes, from_bytes, parts_in, schema_of
from tests.methods.upstream import FIELDS, ITEMS, USERS, some_foundation


def test_parts_stand_where_their_names_do_and_are_standardised_over_who_is_known():
    vectors = np.array([[1, 2, 3, 7], [0, 0, 0, 0], [3, 4, 5, 7]], np.float32)
    read = Transferred({"UR": 1, "CR": 2, "more": 1}, ["CR", "more"])
    assert read.width == 3
    assert_close(read.read(torch.from_numpy(vectors)), torch.tensor([[2.0, 3.0, 7.0], [0.0, 0.0, 0.0], [4.0, 5.0, 7.0]]))
    read.fit(vectors)
    assert_close(read.mean, torch.tensor([3.0, 4.0, 7.0]))
    assert_close(read.scale, torch.tensor([1.0, 1.0, 1.0]), msg="the last never moves")
    with torch.no_grad():
        read.unknown.copy_(torch.tensor([9.0, 8.0, 6.0]))
        assert_close(read(torch.from_numpy(vectors)), torch.tensor([[-1.0, -1.0, 0.0], [9.0, 8.0, 6.0], [1.0, 1.0, 0.0]]))


def test_where_nobody_is_known_vectors_stay_as_they_are():
    read = Transferred({"UR": 2}, ["UR"])
    read.fit(np.zeros((3, 2), np.float32))
    assert_close(read(torch.ones(1, 2)), torch.ones(1, 2))


def test_a_schema_names_parts_and_fields_and_survives_bytes():
    schema = schema_of(some_foundation())
    assert parts_in(schema, "user") == USERS
    assert list(parts_in(schema, "item").items()) == list(ITEMS.items())
    assert {name.removeprefix("field "): field for name, field in schema.items() if name.startswith("field ")} == FIELDS
    assert from_bytes(as_bytes({"a": [1, "é"]})) == {"a": [1, "é"]}
