"""Which parameters a loss hangs on, read off its graph: a balancer is given losses, and no module.

    leaves(loss)                 every leaf it was computed from
    leaves(loss, upto=shared)    those it reaches by a way that does not lead through `shared`: its head's

Cost O(nodes of the graph).
"""

from typing import Any

from torch import Tensor
from torch.autograd.graph import get_gradient_edge


def leaves(of: Tensor, upto: Tensor | None = None) -> list[Tensor]:
    """In the order in which they are found, each once."""
    if not of.requires_grad:
        return []
    end = None if upto is None else get_gradient_edge(upto)
    start = get_gradient_edge(of)
    if end is not None and (start.node is end.node and start.output_nr == end.output_nr):
        return []
    seen, found, open_ends = {start.node}, list[Tensor](), list[Any]([start.node])
    while open_ends:
        node = open_ends.pop()
        if hasattr(node, "variable"):
            found.append(node.variable)
        for following, output in node.next_functions:
            stops = end is not None and following is end.node and output == end.output_nr
            if following is not None and not stops and following not in seen:
                seen.add(following)
                open_ends.append(following)
    return found
