"""What can't be asked for."""

import pytest

from headrace.contracts.config import as_dict, parse
from headrace.contracts.errors import ConfigError
from headrace.text.config import TokenizerConfig


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"kind": "bpe", "size": 261}, "5 reserved ids and 256 bytes take 261, and bpe learns what is left"),
        ({"kind": "unigram", "size": 361, "sentinels": 100}, "105 reserved ids"),
        ({"kind": "bytes", "size": 300}, "have 261. Leave it out"),
        ({"kind": "bytes", "languages": ("en", "en")}, '"en" stands twice in languages'),
        ({"kind": "bytes", "special": ("<mask>",)}, '"<mask>" stands twice in special'),
        ({"kind": "bytes", "codes": (("item", 1, 2), ("item", 2, 2))}, '"item" stands twice in codes'),
        ({"kind": "bytes", "codes": (("item", 0, 2),)}, '"item" have 0 levels of 2 values'),
    ],
)
def test_what_is_wrong_is_said(asked, says):
    with pytest.raises(ConfigError, match=says):
        TokenizerConfig(**asked)


def test_it_is_read_from_a_plan_as_it_is_written():
    asked = TokenizerConfig(kind="unigram", size=8_000, languages=("en",), codes=(("item", 3, 256),), sentinels=100)
    assert asked.reserved == 5 + 100 + 1 + 768
    assert parse(TokenizerConfig, as_dict(asked), where="x.toml [tokenizer]") == asked
