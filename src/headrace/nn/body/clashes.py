"""Switches that exclude each other, each with the two keys, their values and why."""

from typing import TYPE_CHECKING

from headrace.contracts.errors import ConfigError

if TYPE_CHECKING:
    from headrace.nn.body.config import TransformerConfig


def refuse_clashes(of: "TransformerConfig") -> None:
    """Raises a ConfigError at the first."""
    for holds, first, second, why in _clashes(of):
        if holds:
            raise ConfigError(f"transformer: {first} is {_value(of, first)} and {second} is {_value(of, second)}: {why}")
    if not of.encoder_layers + of.decoder_layers:
        raise ConfigError("transformer: encoder_layers and decoder_layers are both 0: give one of them a layer or more.")
    _ = of.block_pattern  # which checks that the heads cover every block


def _value(of: "TransformerConfig", path: str) -> str:
    value: object = of
    for part in path.split("."):
        value = getattr(value, part)
    return repr(value)


def _clashes(of: "TransformerConfig") -> list[tuple[object, str, str, str]]:
    routing, turning = of.routing, of.position in ("rope", "xpos")
    layers = max(of.encoder_layers, of.decoder_layers)
    pairs = of.rotary_dims // 2
    names = [adapter.name for adapter in of.adapters]
    limited = of.window or of.pattern
    return [
        (of.dim % of.heads, "dim", "heads", "dim must be a multiple of heads."),
        (of.heads % of.shared_heads, "heads", "kv_heads", "query heads share key/value heads evenly, so one divides the other."),
        (turning and of.rotary_dims % 2, "position", "rotary_share", "the turning dimensions of a head must be even in number: "
         f"{of.rotary_dims} of {of.head_dim} turn."),
        (of.rotary_share > 1, "rotary_share", "position", "it is a share, at most 1."),
        (of.rotary_share != 1 and of.position != "rope", "rotary_share", "position", "only rope turns a share of a head."),
        (of.long_factors and of.position != "rope", "long_factors", "position", "the factors divide rope's frequencies."),
        (of.long_factors and of.longest <= of.length, "longest", "length", "long factors are for rows beyond the trained."),
        (of.short_factors and not of.long_factors, "short_factors", "long_factors", "short ones are for rows up to `length`, and "
         "go with long ones for rows beyond."),
        (of.long_factors and len(of.long_factors) != pairs, "long_factors", "rotary_share", f"{pairs} pairs turn, so {pairs} "
         "factors are needed."),
        (of.short_factors and len(of.short_factors) != pairs, "short_factors", "rotary_share", f"{pairs} pairs turn, so {pairs} "
         "factors are needed."),
        (of.position == "xpos" and of.encoder_layers, "position", "encoder_layers", "xPos decays with the signed distance and is "
         "for causal attention. Take rope."),
        (of.position in ("t5", "gated") and of.furthest <= of.buckets // 2, "furthest", "buckets", "half of the buckets are one "
         "distance each, so the furthest must lie beyond them."),
        (of.init == "magneto" and of.norm_place == "post", "init", "norm_place", "Magneto's scale is derived for norms inside "
         "the residual branch. Take sub, or pre for the ablation."),
        (of.init == "deepnorm" and of.norm_place != "post", "init", "norm_place", "DeepNorm widens the residual in front of a "
         "norm that comes after. Take post."),
        (of.cross == "none" and of.encoder_layers and of.decoder_layers, "cross", "encoder_layers", "nothing would read the "
         "encoder. Take cross standard or interleaved."),
        (of.cross != "none" and not of.decoder_layers, "cross", "decoder_layers", "only a decoder attends across."),
        (of.pattern and of.encoder_layers, "pattern", "encoder_layers", "its strides are absolute and causal."),
        (of.pattern and of.window, "pattern", "window", "a window would drop the older blocks that the pattern keeps."),
        (of.dense_layers and not limited, "dense_layers", "window", "every layer is dense without a window or a pattern."),
        (max(of.dense_layers, default=-1) >= layers, "dense_layers", "decoder_layers" if of.decoder_layers else "encoder_layers",
         "layers are counted from 0."),
        (max(of.exits, default=0) > layers, "exits", "decoder_layers" if of.decoder_layers else "encoder_layers", "an exit comes "
         "after a layer there is."),
        (routing.experts == 1, "routing.experts", "routing.top_k", "one expert is a dense feed-forward: take 0, or 2 and more."),
        (0 < routing.experts < routing.top_k, "routing.top_k", "routing.experts", "a token takes at most all experts."),
        (0 < 4 * routing.experts < routing.width, "routing.width", "routing.experts", "so few experts need no sphere that wide: "
         "at most four times their number."),
        (routing.width > of.dim, "routing.width", "dim", "the sphere is a projection of the hidden states."),
        (routing.experts and of.branches > 1, "routing.experts", "branches", "both choose a token's feed-forward."),
        (len(set(names)) < len(names) or "" in names, "adapters", "adapters", "each needs a name of its own."),
    ]  # fmt: skip
