"""A Transformer cut in place for one of many processes: layers by heads and columns, depth by stages.

| | cut between tensor ranks |
|---|---|
| attention | queries, keys and values each by heads, so that a shared head stays with its queries; then the output's inputs |
| feed-forward | wide side (gate and value each), experts' too; then the narrow map's inputs |
| Sub-LN's inner norms | weights, as what they scale; their moments are summed |
| T5's bias | by heads |
| vocabulary | tokens, of the embedding and of the output |

All else is whole on every rank. A stage keeps its layers' places in the list, empty ones stand for the others', so every tensor
has the name it has in one process. A tied embedding is on the first stage and on the last; T5's bias on all.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from headrace.contracts.errors import ConfigError
from headrace.nn.body.attention import SelfAttention
from headrace.nn.body.cache import Slot
from headrace.nn.body.call import Call, Inputs
from headrace.nn.body.config import Side, TransformerConfig
from headrace.nn.body.embedding import Embedding
from headrace.nn.body.feedforward import FeedForward
from headrace.nn.body.projection import Branched
from headrace.nn.parallel.maps import Columns, Rows, SplitNorm
from headrace.nn.parallel.place import Cut, Piece, Place, part_of
from headrace.nn.parallel.sums import drawn_apart
from headrace.nn.parallel.vocabulary import Shared, SplitEmbedding
from headrace.nn.positions.relative import RelativeBias

if TYPE_CHECKING:
    from headrace.nn.body.transformer import Transformer

TOKENS, TABLE = "embedding.tokens.weight", "stack.bias.table.weight"


class Elsewhere(nn.Module):
    """A layer that another stage has."""

    def forward(self, x: Tensor, call: Call, slot: Slot | None) -> Tensor:
        return x


class Received(Embedding):
    """In place of the embedding where states come from the stage before. tokens: still there where the output is tied to them."""

    def __init__(self, tokens: nn.Module | None):
        nn.Module.__init__(self)
        self.tokens, self.side = tokens, nn.ModuleDict()
        self.handed_on: Tensor | None = None

    def forward(self, inputs: Inputs) -> Tensor:
        assert self.handed_on is not None
        return self.handed_on


def cut(body: "Transformer", place: Place) -> Cut:
    """In place."""
    refuse(body.of, body.side, place)
    if place.tensors > 1:
        _cut_layers(body, place)
        _cut_vocabulary(body, place)
    if place.stages > 1:
        _keep_stage(body, place)
    pieces = {
        ".".join(filter(None, (path, name))): piece
        for path, module in body.named_modules()
        for name, piece in getattr(module, "pieces", {}).items()
    }
    return Cut(pieces, _shared(body.of, place))


def _cut_layers(body: "Transformer", place: Place) -> None:
    of = body.of
    for module in body.modules():
        if isinstance(module, SelfAttention):
            queries, shared = of.heads * of.head_dim, of.shared_heads * of.head_dim
            _cut_maps(module.qkv, module.out, (queries, shared, shared), place)
            module.heads, module.groups = of.heads // place.tensors, of.shared_heads // place.tensors
            module.draws = partial(drawn_apart, place)
            _cut_norm(module.inner, place)
        elif isinstance(module, FeedForward):
            _cut_maps(module.widen, module.narrow, (of.wide,) * (2 if of.gated else 1), place)
            _cut_norm(module.inner, place)
        elif isinstance(module, RelativeBias):
            by_head = Piece(1, (of.heads,))
            module.pieces = {"table.weight": by_head}
            module.table.weight = nn.Parameter(by_head.of(module.table.weight.detach(), place.tensor, place.tensors))


def _cut_maps(columns: Branched, rows: Branched, sections: tuple[int, ...], place: Place) -> None:
    for number in range(len(columns.ways)):
        columns.ways[number] = Columns(cast(nn.Linear, columns.ways[number]), sections, place)
        rows.ways[number] = Rows(cast(nn.Linear, rows.ways[number]), place)


def _cut_norm(inner: Branched | None, place: Place) -> None:
    if inner is None:
        return
    for number in range(len(inner.ways)):
        inner.ways[number] = SplitNorm(cast(nn.LayerNorm, inner.ways[number]), place)


def _cut_vocabulary(body: "Transformer", place: Place) -> None:
    if body.embedding.tokens is None:
        return
    body.embedding.tokens = SplitEmbedding(cast(nn.Embedding, body.embedding.tokens), place)
    body.words = Shared(body.of.vocabulary, place)
    if body.output is not None:
        body.output = Columns(cast(nn.Linear, body.output), (body.of.vocabulary,), place)


def _keep_stage(body: "Transformer", place: Place) -> None:
    stack = body.stack
    mine = part_of(len(stack.blocks), place.stage, place.stages)
    for number in range(len(stack.blocks)):
        if not mine.start <= number < mine.stop:
            stack.blocks[number] = Elsewhere()
    if not place.first:
        body.embedding = Received(body.embedding.tokens if body.of.tie and place.last else None)
        stack.added, stack.first_norm, stack.drop = None, None, nn.Dropout(0.0)
    if not place.last:
        stack.last_norm, body.output = None, None


def _shared(of: TransformerConfig, place: Place) -> dict[str, tuple[int, ...]]:
    if place.stages == 1:
        return {}
    tied = {TOKENS: (0, place.stages - 1)} if of.tie and of.vocabulary else {}
    return tied | ({TABLE: tuple(range(place.stages))} if of.position == "t5" else {})


def refuse(of: TransformerConfig, side: Side, place: Place) -> None:
    """Raises a ConfigError at the first setting that can't be cut so, by the two keys that clash."""
    ranks = {"tensor": place.tensors, "pipeline": place.stages}
    for holds, key, value, way, why in _clashes(of, side):
        if ranks[way] > 1 and holds(ranks[way]):
            raise ConfigError(f"transformer: {key} is {value} and train.parallel.{way} is {ranks[way]}: {why}")


def _clashes(of: TransformerConfig, side: Side) -> list[tuple[Callable[[int], object], str, object, str, str]]:
    layers = of.encoder_layers if side == "encoder" else of.decoder_layers
    loras = tuple(one.name for one in of.adapters if one.kind == "lora")
    shared = "kv_heads" if of.kv_heads else "heads"
    return [
        (lambda t: of.shared_heads % t, shared, of.shared_heads, "tensor", "each rank takes as many of them."),
        (lambda t: of.wide % t, "hidden", of.wide, "tensor", "each rank takes as many columns."),
        (lambda t: 0 < of.vocabulary < t, "vocabulary", of.vocabulary, "tensor", "each rank takes tokens of it."),
        (lambda t: loras, "adapters", loras, "tensor", "LoRA stands beside maps that are cut. Take bottlenecks."),
        (lambda t: of.pattern, "pattern", of.pattern, "tensor", "it goes by the numbers of all heads."),
        (lambda t: of.position == "gated", "position", "gated", "tensor", "its gates serve all heads. Take t5."),
        (lambda p: layers < p, f"{side}_layers", layers, "pipeline", "each stage takes one or more."),
        (lambda p: of.routing.experts, "routing.experts", of.routing.experts, "pipeline", "the balance is a mean over layers."),
        (lambda p: of.exits, "exits", of.exits, "pipeline", "an objective is given what the last stage has."),
        *((lambda n: of.cross != "none", "cross", of.cross, way, "the encoder's states would go everywhere.") for way in _WAYS),
    ]  # fmt: skip


_WAYS = ("tensor", "pipeline")
