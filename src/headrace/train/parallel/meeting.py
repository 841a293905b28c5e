"""Whole tensors from their parts, under the names and numbers of one process, and the parts from the whole.

Tensor ranks put their pieces together, then every stage sends what it has to the first: rank 0 has everything, one tensor at a
time. Only the first replica takes part: the others hold the same. A tensor that several stages hold comes from the first of them.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, distributed, nn

from headrace.nn.parallel.place import Cut, Piece
from headrace.nn.parallel.sums import pieces_of_all
from headrace.train.parallel.grid import Replicas


class Meeting:
    """module: this process's, cut as `cut` says. names: of the whole module's state, in its order."""

    def __init__(self, module: nn.Module, cut: Cut, names: tuple[str, ...], ranks: Replicas):
        self.module, self.cut, self.ranks, self.place = module, cut, ranks, ranks.place
        self.order = {name: number for number, name in enumerate(names)}

    def states(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """On rank 0 a state of the whole module, of every process's part; elsewhere nothing."""
        return self._collected({name: tensor for name, tensor in own.items() if self.first_holder(name)})

    def own(self, whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
        here, known = self.module.state_dict(), self.order
        return {name: self._piece(name, one) for name, one in whole.items() if name in here or name not in known}

    def optimizer_states(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """As one process's: numbered in the order of the whole module's parameters. On rank 0; elsewhere without tensors."""
        numbers, groups = self._numbered(optimizer)
        names = {id(one): name for name, one in self.module.named_parameters()}
        tensors, rest = dict[str, Tensor](), dict[str, Any]()
        for one, state in optimizer.state.items():
            name = names[id(one)]
            for key, value in state.items() if self.first_holder(name) else ():
                if isinstance(value, Tensor):
                    tensors[f"{name}/{key}"] = value
                else:
                    rest[f"{name}/{key}"] = value
        found: dict[int, dict[str, Any]] = {}
        for path, value in (self._collected(tensors) | self._told(rest)).items():
            name, _, key = path.rpartition("/")
            found.setdefault(numbers[name], {})[key] = value
        settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
        listed = [[numbers[name] for name in group] for group in groups]
        return {
            "state": dict(sorted(found.items())),
            "param_groups": [one | {"params": own} for one, own in zip(settings, listed, strict=True)],
        }

    def own_optimizer(self, optimizer: torch.optim.Optimizer, whole: Mapping[str, Any]) -> dict[str, Any]:
        """Of such a state, this process's part, numbered as its own."""
        numbers, _ = self._numbered(optimizer)
        names, here = {id(one): name for name, one in self.module.named_parameters()}, optimizer.state_dict()["param_groups"]
        state = {}
        for group, listed in zip(optimizer.param_groups, here, strict=True):
            for one, number in zip(group["params"], listed["params"], strict=True):
                name = names[id(one)]
                found = whole["state"].get(numbers[name])
                if found is not None:
                    state[number] = {key: self._piece(name, value) for key, value in found.items()}
        settings = [its | {"params": own["params"]} for its, own in zip(whole["param_groups"], here, strict=True)]
        return {"state": state, "param_groups": settings}

    def first_holder(self, name: str) -> bool:
        return self.cut.shared.get(name, (self.place.stage,))[0] == self.place.stage

    def _piece(self, name: str, whole: Any) -> Any:
        """Of a tensor, or of a state that may be of its shape."""
        piece = self.cut.pieces.get(name)
        if piece is None or not isinstance(whole, Tensor) or not _fits(piece, whole):
            return whole
        return piece.of(whole, self.place.tensor, self.place.tensors)

    def _collected(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors by name, or name/key, whole and on rank 0. Those of other replicas are the same."""
        if self.ranks.rank:
            return {}
        whole = {path: self._joined(path.partition("/")[0], tensor.detach()).cpu() for path, tensor in own.items()}
        if self.place.tensor:
            return {}
        if self.place.stages > 1:
            whole = self._sent(whole)
        return dict(sorted(whole.items(), key=lambda pair: self.order[pair[0].partition("/")[0]])) if self.ranks.first else {}

    def _joined(self, name: str, own: Tensor) -> Tensor:
        piece = self.cut.pieces.get(name)
        if piece is None or own.dim() <= piece.dim:
            return own
        sizes = [sum(piece.size(rank, self.place.tensors)) for rank in range(self.place.tensors)]
        return piece.whole(pieces_of_all(own, sizes, piece.dim, self.place.group))

    def _sent(self, own: dict[str, Tensor]) -> dict[str, Tensor]:
        """All stages' on the first one."""
        listed: list[Any] = [None] * self.place.stages
        distributed.all_gather_object(
            listed, [(path, one.shape, one.dtype) for path, one in own.items()], group=self.ranks.stages
        )
        found = dict(own)
        for stage, entries in enumerate(listed[1:], 1):
            for path, shape, kind in entries:
                if self.place.first:
                    found[path] = torch.empty(shape, dtype=kind)
                    distributed.recv(found[path], group=self.ranks.stages, group_src=stage)
                elif self.place.stage == stage:
                    distributed.send(own[path].contiguous(), group=self.ranks.stages, group_dst=0)
        return found

    def _told(self, own: dict[str, Any]) -> dict[str, Any]:
        """What every stage has to say, on all of them."""
        listed: list[Any] = [own]
        if self.place.stages > 1:
            listed = [None] * self.place.stages
            distributed.all_gather_object(listed, own, group=self.ranks.stages)
        return {path: value for one in listed for path, value in one.items()}

    def _numbered(self, optimizer: torch.optim.Optimizer) -> tuple[dict[str, int], list[list[str]]]:
        """Each parameter's number as one process's optimizer would give it, and the names in each of its groups."""
        names = {id(one): name for name, one in self.module.named_parameters()}
        mine = {str(number): [names[id(one)] for one in group["params"]] for number, group in enumerate(optimizer.param_groups)}
        listed: list[Any] = [mine]
        if self.place.stages > 1:
            listed = [None] * self.place.stages
            distributed.all_gather_object(listed, mine, group=self.ranks.stages)
        groups = [
            sorted({name for one in listed for name in one[str(number)]}, key=lambda name: self.order[name])
            for number in range(len(optimizer.param_groups))
        ]
        return {name: number for number, name in enumerate(name for group in groups for name in group)}, groups


def _fits(piece: Piece, whole: Tensor) -> bool:
    return whole.dim() > piece.dim and whole.shape[piece.dim] == sum(piece.sections)
