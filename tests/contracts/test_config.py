from dataclasses import FrozenInstanceError, field
from typing import Annotated, Literal

import pytest
from annotated_types import Gt

from headrace.contracts.config import as_dict, config, digest, later, parse
from headrace.contracts.errors import ConfigError


@config
class Train:
    epochs: Annotated[int, Gt(0)] = 3
    device: Literal["cpu", "cuda"] = "cpu"


@config
class Shop:
    name: str
    neighbours: int = 100
    hidden: tuple[int, ...] = (64, 32)
    train: Train = field(default_factory=Train)


def refusal(**values):
    with pytest.raises(ConfigError) as caught:
        parse(Shop, values, where="shop.toml [shop]")
    return str(caught.value)


def test_values_become_a_typed_config():
    shop = parse(Shop, {"name": "a", "hidden": [8], "train": {"epochs": 5}}, where="shop.toml")
    assert shop == Shop(name="a", hidden=(8,), train=Train(epochs=5))
    with pytest.raises(FrozenInstanceError):
        shop.name = "b"  # type: ignore[misc]


def test_an_unknown_key_names_the_nearest():
    assert refusal(name="a", neighbors=3) == (
        'shop.toml [shop]: "neighbors" is not a key. Did you mean "neighbours"? Keys: name, neighbours, hidden, train.'
    )


def test_an_unknown_nested_key_names_its_place_and_its_siblings():
    assert refusal(name="a", train={"epoch": 3}) == (
        'shop.toml [shop].train: "epoch" is not a key. Did you mean "epochs"? Keys: epochs, device.'
    )


def test_a_missing_key_is_named():
    assert refusal() == 'shop.toml [shop]: "name" is required and not there. Add it.'


@pytest.mark.parametrize(
    ("values", "place", "received"),
    [
        ({"neighbours": "3"}, '[shop]: "neighbours"', "'3'"),
        ({"neighbours": 1.5}, '[shop]: "neighbours"', "1.5"),
        ({"neighbours": True}, '[shop]: "neighbours"', "True"),
        ({"name": 3}, '[shop]: "name"', "3"),
        ({"train": {"epochs": 0}}, '[shop].train: "epochs"', "0"),
        ({"train": {"device": "tpu"}}, '[shop].train: "device"', "'tpu'"),
        ({"hidden": ["a"]}, '[shop].hidden: "0"', "'a'"),
    ],
)
def test_a_wrong_value_says_where_and_what_was_received(values, place, received):
    message = refusal(**{"name": "a", **values})
    assert message.startswith(f"shop.toml {place} is {received}: ")
    assert message.endswith(".")


def test_all_that_is_wrong_is_said_at_once():
    assert len(refusal(neighbors=3, train={"epochs": 0}).splitlines()) == 3


def test_digest_is_of_the_content():
    assert digest({"a": 1, "b": [2.0]}) == digest({"b": [2.0], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert as_dict(Shop(name="a")) == {
        "name": "a", "neighbours": 100, "hidden": [64, 32], "train": {"epochs": 3, "device": "cpu"},
    }  # fmt: skip
    assert parse(Shop, as_dict(Shop(name="a")), where="") == Shop(name="a")


def test_a_later_field_leaves_the_stored_config_as_it_was_until_it_is_set():
    @config
    class Grown:
        neighbours: int = 100
        index: str = later("exact")

    assert as_dict(Grown()) == as_dict(Grown(index="exact")) == {"neighbours": 100}
    assert as_dict(Grown(index="codes")) == {"neighbours": 100, "index": "codes"}
    assert parse(Grown, as_dict(Grown()), where="") == Grown()
    with pytest.raises(ConfigError, match="Keys: neighbours, index"):
        parse(Grown, {"indx": "codes"}, where="shop.toml")


def test_a_row_of_an_array_of_tables_names_its_keys():
    @config
    class Row:
        colour: str = ""

    @config
    class Whole:
        rows: tuple[Row, ...] = ()

    with pytest.raises(ConfigError, match='"color" is not a key. Did you mean "colour"'):
        parse(Whole, {"rows": [{"color": "red"}]}, where="shop.toml")
