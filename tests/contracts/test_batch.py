import pytest
import torch

from headrace.contracts.batch import Field, check_batch
from headrace.contracts.errors import DataError

SCHEMA = {"history": Field("int64", ("rows", 3)), "price": Field("float32", ("rows", "candidates"))}


def batch(**changed):
    return {"history": torch.zeros(2, 3, dtype=torch.int64), "price": torch.zeros(2, 5), **changed}


def test_sizes_are_read_from_the_batch():
    assert check_batch(batch(), SCHEMA) == {"rows": 2, "candidates": 5}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"price": torch.zeros(2, 5, dtype=torch.float64)}, r'"price" is float64 \(2, 5\), expected float32'),
        ({"history": torch.zeros(2, 4, dtype=torch.int64)}, r'"history" is int64 \(2, 4\)'),
        ({"price": torch.zeros(3, 5)}, r'"price" is float32 \(3, 5\), .* with .*\'rows\': 2'),
        ({"price": torch.zeros(2)}, r'"price" is float32 \(2,\)'),
        ({"prices": torch.zeros(2)}, r'"prices" is not in the schema. Did you mean "price"\?'),
    ],
)
def test_what_does_not_fit_is_named(wrong, message):
    with pytest.raises(DataError, match=message):
        check_batch(batch(**wrong), SCHEMA)


def test_what_is_missing_is_named():
    with pytest.raises(DataError, match=r'"price" is missing. The batch has: history.'):
        check_batch({"history": torch.zeros(2, 3, dtype=torch.int64)}, SCHEMA)
