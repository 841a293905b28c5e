from typing import Any

import pytest

from headrace.contracts.config import as_dict, parse
from headrace.contracts.errors import ConfigError
from headrace.nn.body.config import AdapterConfig, PatternConfig, RoutingConfig, TransformerConfig

BOTH = {"encoder_layers": 1, "decoder_layers": 1, "cross": "standard"}
CLASHES = [
    ({"dim": 10, "heads": 4}, "dim is 10 and heads is 4"),
    ({"heads": 4, "kv_heads": 3}, "heads is 4 and kv_heads is 3"),
    ({"dim": 12, "heads": 4, "position": "rope"}, "position is 'rope' and rotary_share"),
    ({"rotary_share": 1.5}, "rotary_share is 1.5"),
    ({"position": "t5", "rotary_share": 0.5}, "rotary_share is 0.5 and position is 't5'"),
    ({"position": "none", "long_factors": (1.0,) * 8, "longest": 999}, "long_factors"),
    ({"long_factors": (1.0,), "longest": 999}, "8 pairs turn"),
    ({"long_factors": (1.0,) * 8}, "longest is 0 and length is 512"),
    ({"short_factors": (1.0,) * 8}, "short_factors"),
    ({"short_factors": (1.0,), "long_factors": (1.0,) * 8, "longest": 999}, "short_factors is"),
    ({"encoder_layers": 1, "decoder_layers": 0, "position": "xpos"}, "position is 'xpos' and encoder_layers is 1"),
    ({"position": "t5", "furthest": 16}, "furthest is 16 and buckets is 32"),
    ({"init": "magneto", "norm_place": "post"}, "init is 'magneto' and norm_place is 'post'"),
    ({"init": "deepnorm"}, "init is 'deepnorm' and norm_place is 'pre'"),
    ({**BOTH, "cross": "none"}, "cross is 'none' and encoder_layers is 1"),
    ({"encoder_layers": 1, "decoder_layers": 0, "cross": "standard"}, "cross is 'standard' and decoder_layers is 0"),
    ({**BOTH, "pattern": PatternConfig(stride=2)}, "pattern is .* and encoder_layers is 1"),
    ({"pattern": PatternConfig(stride=2), "window": 3}, "pattern is .* and window is 3"),
    ({"pattern": PatternConfig(stride=8)}, r"stride is 8 and heads \(key/value\) 4: 4 of 8"),
    ({"dense_layers": (0,)}, "dense_layers is"),
    ({"window": 3, "dense_layers": (1,)}, "dense_layers is .* and decoder_layers is 1"),
    ({"exits": (2,)}, "exits is .* and decoder_layers is 1"),
    ({"routing": RoutingConfig(experts=1)}, "routing.experts is 1"),
    ({"routing": RoutingConfig(experts=2, top_k=3)}, "routing.top_k is 3 and routing.experts is 2"),
    ({"routing": RoutingConfig(experts=2, width=9)}, "routing.width is 9 and routing.experts is 2"),
    ({"routing": RoutingConfig(experts=99, width=70)}, "routing.width is 70 and dim is 64"),
    ({"routing": RoutingConfig(experts=2), "branches": 2}, "routing.experts is 2 and branches is 2"),
    ({"adapters": (AdapterConfig(name="a"), AdapterConfig(name="a"))}, "name of its own"),
    ({"decoder_layers": 0}, "both 0"),
]


@pytest.mark.parametrize(("switches", "said"), CLASHES, ids=[said for _, said in CLASHES])
def test_a_clash_names_both_keys(switches, said):
    with pytest.raises(ConfigError, match=said):
        TransformerConfig(**{"dim": 64, "decoder_layers": 1, **switches})


def test_it_can_be_written_in_toml():
    parts: dict[str, Any] = {"pattern": PatternConfig(stride=2), "adapters": (AdapterConfig(name="a"),), "side": (("kind", 3),)}
    of = TransformerConfig(decoder_layers=2, **parts)
    assert parse(TransformerConfig, as_dict(of), where="here") == of
    with pytest.raises(ConfigError, match='Did you mean "norm_place"'):
        parse(TransformerConfig, {"decoder_layers": 1, "norm_plce": "sub"}, where="here")
    with pytest.raises(ConfigError, match="dim must be a multiple of heads"):
        TransformerConfig(dim=10, decoder_layers=1)
