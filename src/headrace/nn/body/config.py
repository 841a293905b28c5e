"""Every switch of the one Transformer. Combinations that can't be are refused with the two keys that clash (`clashes`).

encoder_layers alone: an encoder; decoder_layers alone: a decoder; both: an encoder-decoder, which needs `cross`.
"""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from headrace.contracts.config import config
from headrace.nn.attention.patterns import BlockPattern
from headrace.nn.body.clashes import refuse_clashes

Side = Literal["encoder", "decoder"]


@config
class PatternConfig:
    """S2-Attention's: blocks of `block` tokens, the newest `local` of them, and one older block in `stride` a key/value head."""

    block: Annotated[int, Gt(0)] = 64
    local: Annotated[int, Gt(0)] = 16
    stride: Annotated[int, Gt(0)] = 8
    alike: bool = False


@config
class AdapterConfig:
    """name: as samples choose it. lora: on every linear map of attention and dense feed-forward; bottleneck: behind both."""

    name: str
    kind: Literal["lora", "bottleneck"] = "lora"
    rank: Annotated[int, Gt(0)] = 8
    alpha: Annotated[float, Gt(0)] = 16.0


@config
class RoutingConfig:
    """experts: of a mixture, 0 for a dense feed-forward. every: layers that have one, each n-th, counted from the last of n."""

    experts: Annotated[int, Ge(0)] = 0
    top_k: Annotated[int, Gt(0)] = 1
    router: Literal["dot", "sphere"] = "sphere"
    width: Annotated[int, Ge(0)] = 0
    """Of the hypersphere; 0: half the experts, at least 4."""
    gate: Literal["softmax", "sigmoid"] = "softmax"
    temperature: Annotated[float, Gt(0)] = 0.07
    """Learned, from here on."""
    every: Annotated[int, Gt(0)] = 1


@config
class TransformerConfig:
    dim: Annotated[int, Gt(0)] = 64
    encoder_layers: Annotated[int, Ge(0)] = 0
    decoder_layers: Annotated[int, Ge(0)] = 0
    heads: Annotated[int, Gt(0)] = 4
    kv_heads: Annotated[int, Ge(0)] = 0
    """Key/value heads that query heads share; 0: as many as heads."""
    hidden: Annotated[int, Ge(0)] = 0
    """Of the feed-forward; 0: 4·dim."""
    vocabulary: Annotated[int, Ge(0)] = 0
    """0: no token embedding, inputs are vectors."""
    side: tuple[tuple[str, int], ...] = ()
    """(name, size) of ids that stand beside the tokens and whose embeddings are added."""
    tie: bool = True
    """The output layer is the token embedding."""
    length: Annotated[int, Gt(0)] = 512
    """Rows of a learned table of positions; for LongRoPE the length that was trained."""

    norm: Literal["layer", "rms"] = "layer"
    norm_place: Literal["post", "pre", "sub"] = "pre"
    norm_eps: Annotated[float, Gt(0)] = 1e-5
    init: Literal["bert", "xavier", "magneto", "deepnorm", "fan_in"] = "xavier"
    """fan_in: torch's own for linear maps, uniform within 1/√inputs."""
    activation: Literal["gelu", "relu", "swiglu", "geglu"] = "gelu"
    bias: Literal["all", "feed_forward", "none"] = "all"
    """Which linear maps have one."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0

    position: Literal["none", "learned", "sinusoidal", "t5", "gated", "rope", "xpos"] = "rope"
    position_base: Annotated[float, Gt(1)] = 10_000.0
    rotary_share: Annotated[float, Gt(0)] = 1.0
    """Of a head's dimensions that rope turns."""
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()
    """LongRoPE's divisors of each turning pair's frequency, up to `length` tokens and beyond."""
    longest: Annotated[int, Ge(0)] = 0
    """The row that LongRoPE aims at."""
    decay: Annotated[float, Gt(0)] = 512.0
    """xPos's scale: tokens after which ζ counts once."""
    buckets: Annotated[int, Gt(3)] = 32
    furthest: Annotated[int, Gt(1)] = 128

    window: Annotated[int, Ge(0)] = 0
    """Newest tokens that self-attention sees; 0: all."""
    pattern: PatternConfig | None = None
    dense_layers: tuple[int, ...] = ()
    """Layers, counted from 0, that keep whole attention beside a window or a pattern."""
    cross: Literal["none", "standard", "interleaved"] = "none"
    routing: RoutingConfig = RoutingConfig()
    adapters: tuple[AdapterConfig, ...] = ()
    branches: Annotated[int, Gt(0)] = 1
    """Copies of all linear maps and norms, one of which each token takes (multiway)."""
    exits: tuple[int, ...] = ()
    """Numbers of layers after which the hidden states are given too; 0 is before the first."""
    detach_exits: bool = False
    """Exits cut the gradient: a layer learns from the states that are given up to the next exit."""

    def __post_init__(self) -> None:
        refuse_clashes(self)

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads

    @property
    def shared_heads(self) -> int:
        return self.kv_heads or self.heads

    @property
    def wide(self) -> int:
        return self.hidden or 4 * self.dim

    @property
    def gated(self) -> bool:
        return self.activation in ("swiglu", "geglu")

    @property
    def rotary_dims(self) -> int:
        return round(self.head_dim * (self.rotary_share if self.position == "rope" else 1.0))

    @property
    def block_pattern(self) -> BlockPattern | None:
        of = self.pattern
        return None if of is None else BlockPattern(of.block, of.local, of.stride, self.shared_heads, of.alike)

    def routed(self, layer: int) -> bool:
        return self.routing.experts > 0 and (layer + 1) % self.routing.every == 0
