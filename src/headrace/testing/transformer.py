"""What the one Transformer promises under any switches: later tokens, padding, other rows have no say; a cache changes nothing.

check_transformer(TransformerConfig(decoder_layers=2, position="xpos", vocabulary=29))
"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from headrace.nn.body.call import Hidden, Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import EncoderDecoder, Transformer
from headrace.nn.seeded import seeded
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.testing.expect import expect, expect_close

ROWS, LENGTH = 3, 7
Body = Transformer | EncoderDecoder


def made(of: TransformerConfig, seed: int = 0) -> Any:
    """An encoder, a decoder or both, as the config has layers; ready to evaluate."""
    with seeded(seed, "transformer"):
        if of.encoder_layers and of.decoder_layers:
            return EncoderDecoder(of).eval()
        return Transformer(of, "encoder" if of.encoder_layers else "decoder").eval()


def some_inputs(of: TransformerConfig, rows: int = ROWS, length: int = LENGTH, seed: int = 0) -> Inputs:
    """Random ids for all that the config reads. A config without a vocabulary gets vectors."""
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randint(of.vocabulary or 1, (rows, length), generator=draw)
    vectors = torch.randn(rows, length, of.dim, generator=draw)
    return Inputs(
        ids=tokens if of.vocabulary else None, vectors=None if of.vocabulary else vectors,
        side={name: torch.randint(size, (rows, length), generator=draw) for name, size in of.side},
        branch=torch.randint(of.branches, (rows, length), generator=draw),
        adapter=torch.arange(rows) % (len(of.adapters) + 1) if of.adapters else None,
    )  # fmt: skip


def taken(inputs: Inputs, rows: slice | Tensor = slice(None), tokens: slice | Tensor = slice(None)) -> Inputs:
    """Some rows and tokens of inputs."""

    def part(of: Tensor | None) -> Tensor | None:
        return None if of is None else of[rows][:, tokens]

    return replace(
        inputs, ids=part(inputs.ids), vectors=part(inputs.vectors), slots=part(inputs.slots), there=part(inputs.there),
        branch=part(inputs.branch), adapter=None if inputs.adapter is None else inputs.adapter[rows],
        side={name: ids[rows][:, tokens] for name, ids in inputs.side.items()},
    )  # fmt: skip


def read(body: Body, inputs: Inputs, source: Inputs) -> Hidden:
    """source: what the encoder of both reads."""
    if isinstance(body, EncoderDecoder):
        found: Hidden = body(source, inputs)
    elif body.of.cross == "none" or body.side == "encoder":
        found = body(inputs)
    else:
        found = body(inputs, **_memory(body, source))
    return found


@torch.no_grad()
def check_transformer(of: TransformerConfig) -> None:
    """of: with a vocabulary for the check of the first loss. Long rows and gradients are not looked at."""
    body, inputs, source = made(of), some_inputs(of), some_inputs(of, length=LENGTH - 2, seed=1)
    found = read(body, inputs, source)
    expect(found.last.isfinite().all(), "A hidden state is not finite.")
    expect(set(found.exits) == set(of.exits), f"Exits {sorted(found.exits)} came back, {sorted(of.exits)} were asked for.")
    _seeds(of, body)
    _stored(of, body, inputs, source, found)
    _rows(body, inputs, source, found)
    _padding(body, inputs, source, found)
    if of.decoder_layers:
        _causality(body, inputs, source, found)
        _cached(body, inputs, source, found)
    if of.vocabulary:
        loss = cross_entropy(body.logits(found.last).flatten(0, 1), torch.arange(ROWS * LENGTH) % of.vocabulary)
        expect(
            abs(loss - math.log(of.vocabulary)) < 0.25, f"The first loss is {loss:.3f}: ln V is {math.log(of.vocabulary):.3f}."
        )


def _memory(body: Transformer, source: Inputs) -> dict[str, Tensor | None]:
    """States that hang on the source's own row alone, in place of an encoder's."""
    tokens = source.ids if source.ids is not None else source.branch
    assert tokens is not None
    memory = (tokens.unsqueeze(-1) * (1.0 + torch.arange(body.of.dim))).sin()
    return {"memory": memory, "memory_there": source.there, "memory_branch": source.branch}


def _close(found: Tensor, wanted: Tensor, message: str) -> None:
    # sums of another order, through a few layers
    expect_close(found, wanted, message, relative=1e-3, absolute=2e-5)


def _seeds(of: TransformerConfig, body: Body) -> None:
    again, other = made(of).state_dict(), made(of, seed=1).state_dict()
    expect(all(again[name].equal(values) for name, values in body.state_dict().items()), "The same seed gives other weights.")
    expect(any(not other[name].equal(values) for name, values in again.items()), "Another seed gives the same weights.")


def _stored(of: TransformerConfig, body: Body, inputs: Inputs, source: Inputs, found: Hidden) -> None:
    copy = made(of, seed=1)
    load_arrays_into(copy, arrays_of(body))
    expect(read(copy, inputs, source).last.equal(found.last), "Stored and read back, the states are others.")


def _rows(body: Body, inputs: Inputs, source: Inputs, found: Hidden) -> None:
    order = torch.tensor([2, 0, 1])
    turned = read(body, taken(inputs, order), taken(source, order))
    _close(turned.last, found.last[order], "Rows in another order have other states")
    _close(turned.balance, found.balance, "Rows in another order have another balance loss")
    first = read(body, taken(inputs, slice(1)), taken(source, slice(1)))
    _close(first.last, found.last[:1], "A row alone has other states than among others")


def _padding(body: Body, inputs: Inputs, source: Inputs, found: Hidden) -> None:
    def padded(of: Inputs, seed: int) -> Inputs:
        assert of.branch is not None
        rows, length = of.branch.shape
        noise = some_inputs(body.of, rows, 2, seed)

        def behind(x: Tensor | None, more: Tensor | None) -> Tensor | None:
            return None if x is None or more is None else torch.cat([x, more], 1)

        there = torch.arange(length + 2).expand(rows, -1) < length
        return replace(
            of, ids=behind(of.ids, noise.ids), vectors=behind(of.vectors, noise.vectors), branch=behind(of.branch, noise.branch),
            there=there, side={name: torch.cat([ids, noise.side[name]], 1) for name, ids in of.side.items()},
        )  # fmt: skip

    wide = read(body, padded(inputs, 3), padded(source, 4))
    _close(wide.last[:, :LENGTH], found.last, "Padding behind changes the states")
    _close(wide.balance, found.balance, "Padding counts in the balance loss")


def _causality(body: Body, inputs: Inputs, source: Inputs, found: Hidden) -> None:
    other = some_inputs(body.of, seed=5)
    for place in (1, LENGTH - 2):

        def late(x: Tensor | None, y: Tensor | None, place: int = place) -> Tensor | None:
            return None if x is None or y is None else torch.cat([x[:, :place], y[:, place:]], 1)

        changed = replace(
            inputs, ids=late(inputs.ids, other.ids), vectors=late(inputs.vectors, other.vectors),
            side={name: torch.cat([ids[:, :place], other.side[name][:, place:]], 1) for name, ids in inputs.side.items()},
        )  # fmt: skip
        after = read(body, changed, source)
        _close(after.last[:, :place], found.last[:, :place], f"Tokens from {place} on change earlier states")
        differs = (after.last[:, place:] - found.last[:, place:]).abs().amax()
        expect(differs > 1e-3, f"Other tokens from {place} on change nothing.")


def _cached(body: Body, inputs: Inputs, source: Inputs, found: Hidden) -> None:
    if isinstance(body, EncoderDecoder):
        decoder = body.decoder
        given: dict[str, Tensor | None] = {"memory": body.encoder(source).last, "memory_branch": source.branch}
    else:
        decoder, given = body, _memory(body, source) if body.of.cross != "none" else {}
    for steps in ([1] * LENGTH, [4, 1, 2]):
        cache, first, states = decoder.cache(rows=ROWS, extent=LENGTH), 0, []
        for step in steps:
            states.append(decoder(taken(inputs, tokens=slice(first, first + step)), cache=cache, **given).last)
            first += step
        _close(torch.cat(states, 1), found.last, f"Steps of {steps} tokens through a cache give other states")
