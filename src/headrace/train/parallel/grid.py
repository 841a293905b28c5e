"""Who does what: processes as data x pipeline x tensor, tensor ranks next to each other so that they share a machine.

    rank = (data · stages + stage) · tensors + tensor

A replica deals out no rows inside: all its processes read the same ones, and replicas sum gradients as ranks do without a layout.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from headrace.contracts.errors import ConfigError
from headrace.contracts.training import ParallelConfig
from headrace.nn.parallel.place import Place
from headrace.train.distributed import Ranks


@dataclass(frozen=True)
class Replicas(Ranks):
    """rank and size: of the replicas; group: of the processes at the same place in each. All else goes over every process."""

    place: Place = field(default_factory=Place)
    mesh: DeviceMesh | None = None

    @property
    def first(self) -> bool:
        return distributed.get_rank() == 0

    @property
    def draws(self) -> tuple[int, ...]:
        return (*super().draws, self.place.stage) if self.place.stages > 1 else super().draws

    def any(self, asked: bool) -> bool:
        told = torch.tensor(float(asked))
        distributed.all_reduce(told)
        return bool(told)

    def of_first(self, value: float) -> float:
        told = torch.tensor(value, dtype=torch.float64)
        distributed.broadcast(told, 0)
        return float(told)

    def copy_first(self, module: nn.Module) -> None:
        for tensor in module.state_dict().values():
            distributed.broadcast(tensor, 0)

    @property
    def stages(self) -> Any:
        """The group of this replica's stages that have the same tensor rank."""
        assert self.mesh is not None
        return self.mesh.get_group("pipeline")


def grid_of(parallel: ParallelConfig, ranks: Ranks, device: torch.device, name: str) -> Replicas:
    """This process's place. Every process calls this alike."""
    tensors, stages = parallel.tensor, parallel.pipeline
    if ranks.size % (tensors * stages):
        raise ConfigError(
            f"{name}: train.parallel is tensor {tensors} x pipeline {stages}, which needs {tensors * stages} processes or a "
            f"multiple of them, and there {'is' if ranks.size == 1 else 'are'} {ranks.size}. Start them with torchrun "
            f"--nproc-per-node {tensors * stages}, or set tensor and pipeline to 1."
        )
    shape = (ranks.size // (tensors * stages), stages, tensors)
    mesh = init_device_mesh(device.type, shape, mesh_dim_names=("data", "pipeline", "tensor"))
    replica, stage, tensor = (mesh.get_local_rank(one) for one in ("data", "pipeline", "tensor"))
    place = Place(tensor, tensors, stage, stages, mesh.get_group("tensor") if tensors > 1 else None)
    return Replicas(replica, shape[0], mesh.get_group("data"), place, mesh)


def groups_of(holders: Iterable[tuple[int, ...]], ranks: Replicas) -> dict[tuple[int, ...], Any]:
    """For each set of stages, the group of those of them that this process is one of. Every process calls this alike."""
    assert ranks.mesh is not None
    found: dict[tuple[int, ...], Any] = {}
    grid: Tensor = ranks.mesh.mesh
    for stages in sorted(set(holders)):
        for replica in grid:
            for line in replica.T.tolist():  # of one tensor rank, its stages
                members = [line[stage] for stage in stages]
                group = distributed.new_group(members)
                if distributed.get_rank() in members:
                    found[stages] = group
    return found
