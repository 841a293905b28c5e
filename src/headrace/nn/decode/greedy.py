"""The likeliest next token, again and again, until the end is written or enough was.

    y_t = argmax_v logits(h_t)_v,      h_t = the decoder's state after first, y_1 .. y_{t-1}

All rows go on side by side; one that has written its end stands still while the others go on, and all stop with the last.
Shapes: R rows of memory -> tokens [R, most], states [R, d]. Cost: `most` steps of the decoder with its past kept, O(R (d² + S d +
V d)) a step for S states of memory and V tokens.
Use it where one plain answer is wanted. Relation to `beam`: that keeps several and is bound to a tree of codes.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from headrace.nn.decode.codes import Steps


def greedy(
    steps: Steps, logits: Callable[[Tensor], Tensor], *, rows: int, first: int, last: int, never: tuple[int, ...], most: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Tokens [rows, most], 0 behind a row's end, which is not among them; and the state [rows, d] that said the end, or the last.

    first: the token that is read to begin with. last: the end. never: tokens that are not written.
    """
    token = torch.full((rows,), first, dtype=torch.int64, device=device)
    done = torch.zeros(rows, dtype=torch.bool, device=device)
    written, state = list[Tensor](), torch.zeros(0)
    for _ in range(most):
        read = steps.read(token)
        state = read if not written else torch.where(done.unsqueeze(1), state, read)
        said = logits(read)
        said[:, list(never)] = -torch.inf
        token = said.argmax(1)
        done = done | (token == last)
        written.append(token.masked_fill(done, 0))
        if bool(done.all()):
            break
    tokens = torch.stack(written, 1)
    return torch.nn.functional.pad(tokens, (0, most - tokens.shape[1])), state
