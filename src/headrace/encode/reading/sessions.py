"""A user's newest items as text in sessions: what is read together, each session by itself, and the states side by side.

    session = <sos> item <eos> <sos> item <eos> ..   p items;      H = [reader(session_1), reader(session_2), ..]

Words attend to each other inside a session alone, so a history of any length costs its length and not the square of it. With a
prefix (a summary of the user, in words) it is read by the same reader as a session of its own and stands before H.
Shapes: tokens [R, k, T], framed as `Reader.tokenise` does it, oldest first -> states [R, L, d], L = tokens of all sessions.
Inside a session tokens stand without gaps, so a reader that knows places reads the same whatever the batch. Cost: R k / p passes
over p T tokens at most; empty sessions and columns without a token are not read, but in a traced file, whose shapes are set.
Use it for histories that no reader's length holds. It loses to one long pass where an item only means something beside one of
another session. Sessions are of `p` items in a row, not of time.
Papers: SPAR (arXiv 2402.10555), session-based encoding; EmbSum (arXiv 2405.11441) encodes alike.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from headrace.encode.reading.reader import Reader


@dataclass(frozen=True)
class ReadHistory:
    """states [R, L, d], zeros where `there` [R, L] is not. item_of [R, L]: of which item a token is, -1: of none.

    starts [R, L]: the tokens with which an item, or the prefix, begins. first [R, k]: places of items' own. items [R, k]: which
    there are, with a word to read.
    """

    states: Tensor
    there: Tensor
    item_of: Tensor
    starts: Tensor
    first: Tensor
    items: Tensor

    def item_starts(self) -> Tensor:
        """[R, k, d]: the state of each item's first token, <sos>; zeros where there is no item."""
        places = self.first.unsqueeze(-1).expand(-1, -1, self.states.shape[-1])
        return self.states.gather(1, places) * self.items.unsqueeze(-1)


def tokens_at_most(items: int, session: int, of_item: int, prefix: int = 0) -> int:
    """L, of so many items in sessions with so many tokens each. prefix: its tokens; 0: there is none."""
    return -(-items // session) * session * of_item + prefix


def read_in_sessions(reader: Reader, tokens: Tensor, session: int, prefix: Tensor | None = None) -> ReadHistory:
    """session: items in one. tokens [R, k, T]: rows of zeros are no items. prefix [R, S]: a row of zeros has none."""
    kept, wide = tokens.shape[1:]
    texts = pad(tokens, (0, 0, 0, -kept % session))
    groups = texts.shape[1] // session
    of = torch.arange(texts.shape[1], device=tokens.device).unsqueeze(1).expand(texts.shape)
    begins = (torch.arange(wide, device=tokens.device) == 0).long().expand(texts.shape)
    ids, of, begins = _packed(*(one.reshape(-1, groups, session * wide) for one in (texts, of, begins)))
    there, length = ids > 0, ids.shape[2]
    # an item begins behind what its session holds of the items before it
    counts = (texts > 0).sum(-1).reshape(-1, groups, session)
    first = counts.cumsum(-1) - counts + length * torch.arange(groups, device=tokens.device).unsqueeze(1)
    read = ReadHistory(
        _states(reader, ids.flatten(0, 1)).reshape(-1, groups * length, reader.dim), there.flatten(1),
        of.masked_fill(~there, -1).flatten(1), (begins > 0).flatten(1),
        first.flatten(1)[:, :kept].clamp(max=groups * length - 1), (tokens > 0).any(-1),
    )  # fmt: skip
    return read if prefix is None else _after(reader, prefix, read)


def _after(reader: Reader, prefix: Tensor, read: ReadHistory) -> ReadHistory:
    there = prefix > 0
    starts = there & (torch.arange(prefix.shape[1], device=prefix.device) == 0)
    return ReadHistory(
        torch.cat([_states(reader, prefix), read.states], 1), torch.cat([there, read.there], 1),
        torch.cat([torch.full_like(prefix, -1), read.item_of], 1), torch.cat([starts, read.starts], 1),
        read.first + prefix.shape[1], read.items,
    )  # fmt: skip


def _packed(ids: Tensor, *beside: Tensor) -> tuple[Tensor, ...]:
    """[R, g, W] each: what stands at tokens (ids > 0) moved to the front of its session, zeros behind."""
    there = ids > 0
    wide = ids.shape[2]
    to = torch.where(there, there.long().cumsum(2) - 1, wide)  # all others to one column more, which is left out
    kept = wide if _traced() or not len(ids) else max(int(there.sum(2).max()), 1)
    return tuple(torch.zeros_like(pad(one, (0, 1))).scatter(2, to, one)[..., :kept] for one in (ids, *beside))


def _states(reader: Reader, ids: Tensor) -> Tensor:
    """[B, T] -> [B, T, d], zeros at ids of 0."""
    there = ids > 0
    if _traced():
        return reader.states(ids, there)
    rows = there.any(1).nonzero().squeeze(1)
    if not len(rows):
        return torch.zeros(*ids.shape, reader.dim, device=ids.device)
    read = reader.states(ids[rows], there[rows])
    return read.new_zeros(*ids.shape, reader.dim).index_copy(0, rows, read)


def _traced() -> bool:
    """Whether a file is made, whose shapes are set."""
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    return traced
