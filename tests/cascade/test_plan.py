"""A TOML's mistakes, each in one or two lines that name the nearest right word."""

from pathlib import Path

import pytest

from headrace.cascade.plan import plan_from, read_toml
from headrace.contracts.errors import ConfigError

DATA = {"data": {"events": "events.csv"}}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"retrive": {}}, r"shop.toml: \[retrive\] is not a section. Did you mean retrieve\? Sections: data, kinds, "),
        ({"retrieve": {"uses": ["sasrec"]}}, r'\[retrieve\]: "uses" is not a key. Did you mean "use"\? Keys: use, k, fallback'),
        ({"retrieve": {"use": ["sasrek"]}}, r'\[retrieve\]: "sasrek" is not known here. Did you mean "sasrec"\?'),
        ({"retrieve": {"sasrek": {}}}, r'\[retrieve.sasrek\] is not a component. Did you mean "sasrec"\?'),
        ({"retrieve": {"sasrec": {"dims": 8}}}, r'\[retrieve.sasrec\]: "dims" is not a key. Did you mean "dim"\?'),
        ({"retrieve": {"sasrec": {"dim": "8"}}}, r"\[retrieve.sasrec\]: \"dim\" is '8': input should be a valid integer."),
        (
            {"retrieve": {"sasrec": {"train": {"epoch": 1}}}},
            r'\[retrieve.sasrec\].train: "epoch" is not a key. Did you mean "epochs"',
        ),
        (
            {"retrieve": {"sasrec": {"train": {"optimizer": "apolo"}}}},
            r'\[retrieve.sasrec\].train.optimizer: "apolo" is not known here. Did you mean "apollo"\?',
        ),
        (
            {"retrieve": {"sasrec": {"train": {"optimizer": "apollo", "optimizer_settings": {"ranks": 8}}}}},
            r'train.optimizer_settings: "ranks" is not a key. Did you mean "rank"\?',
        ),
        ({"retrieve": {"sasrec": {"dim": 10, "heads": 3}}}, r"dim is 10 and heads 3: dim must be a multiple of heads"),
        ({"page": {"explore": {"epsilon": 2}}}, r"\[page.explore\]: \"epsilon\" is 2: input should be less than or equal to 1"),
        ({"evaluate": {"metrics": ["ndgc@10"]}}, r'metric "ndgc@10" is not known. Did you mean "ndcg@10"\?'),
        ({"kinds": {"view": {"polarity": "good"}}}, r"\[kinds.view\]: \"polarity\" is 'good': input should be 'positive'"),
        ({"serve": {"rotate": 5.0}}, r'\[serve\]: "rotate" is not a key. Did you mean "rotate_s"\? Keys: unshown_share, queue, '),
        ({"serve": {"runtime": "tensorrt"}}, r"\[serve\]: \"runtime\" is 'tensorrt': input should be 'onnx' or 'torch'"),
        ({"seed": "a"}, r"seed is 'a', expected a whole number"),
        ({"data": {"event": "e.csv"}}, r'\[data\]: "event" is not a key. Did you mean "events"\?'),
        ({"rank": 3}, r"rank is 3, expected a section \[rank\]"),
        ({"rank": {"use": "os:system"}}, r'"os:system" is not a component: expected a class with Config'),
        ({"rank": {"use": "nowhere.at_all:Ranker"}}, r"\"nowhere.at_all:Ranker\" can't be imported"),
    ],
)
def test_mistakes_name_the_nearest_right_word(values, says):
    with pytest.raises(ConfigError, match=says):
        plan_from({**DATA, **values}, where="shop.toml", folder=Path())


def test_data_is_required():
    with pytest.raises(ConfigError, match=r"shop.toml: \[data\] is missing"):
        plan_from({}, where="shop.toml", folder=Path())


def test_a_wrong_path_names_the_nearest_file(tmp_path):
    (tmp_path / "shop.toml").write_text("")
    with pytest.raises(ConfigError, match='there is no such file. Did you mean "shop.toml"'):
        read_toml(tmp_path / "shopp.toml")


def test_broken_toml_says_where(tmp_path):
    (tmp_path / "shop.toml").write_text("[data\n")
    with pytest.raises(ConfigError, match="can't be read as TOML .*line 1"):
        read_toml(tmp_path / "shop.toml")


def test_defaults_stand_without_sections():
    plan = plan_from(DATA, where="shop.toml", folder=Path())
    assert plan.retrieve.use == ("popularity", "itemknn", "sasrec")
    assert plan.retrievers == ("popularity", "itemknn", "sasrec")
