import json

import polars as pl
import pytest

from headrace.contracts.tables import TABLES
from tests.contracts.renew_golden import GOLDEN, as_they_are


def differences(found, frozen, place=""):
    if isinstance(found, dict) and isinstance(frozen, dict):
        for name in [*frozen, *(name for name in found if name not in frozen)]:
            yield from differences(found.get(name, "nothing"), frozen.get(name, "nothing"), f"{place}.{name}".lstrip("."))
        if found.keys() == frozen.keys() and list(found) != list(frozen):
            yield f"{place}: the order is {list(found)}, it was {list(frozen)}"
    elif found != frozen:
        yield f"{place}: is {found!r}, was {frozen!r}"


def test_the_tables_are_frozen():
    changed = list(differences(as_they_are(), json.loads(GOLDEN.read_text())))
    assert not changed, (
        "The contract of the tables has changed, so logs that were written before can't be read:\n  "
        + "\n  ".join(changed)
        + "\nIf that is wanted: python -m tests.contracts.renew_golden, and say in the changelog how old logs are brought over."
    )


def test_a_change_is_named():
    found, frozen = as_they_are(), as_they_are()
    del found["items"]["columns"]["price"]
    found["events"]["columns"]["value"]["required"] = True
    found["users"]["key"] = ["user_id"]
    assert list(differences(found, frozen)) == [
        "items.columns.price: is 'nothing', was {'dtype': 'Float64', 'required': False, 'choices': []}",
        "users.key: is ['user_id'], was ['user_id', 'valid_from']",
        "events.columns.value.required: is True, was False",
    ]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_tables_are_consistent(table):
    assert set(table.key) <= set(table.names)
    assert len(set(table.names)) == len(table.names)
    assert list(table.schema()) == table.names
    assert all(column.dtype == pl.String for column in table.columns if column.choices)
