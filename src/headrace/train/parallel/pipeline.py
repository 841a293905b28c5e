"""One step's micro-batches through the stages: 1F1B by `torch.distributed.pipelining`, all forwards first where they are too few.

    stage s of p:  p - s forwards, then one backward and one forward in turn, then the backwards that are left

Only numbers of micro-batches go through torch's schedule; each stage looks its own micro-batch up. States [B, T, d] go from
stage to stage, their gradients back. A stage holds the states of at most p - s micro-batches: torch would keep a buffer for each
of a step. Every chunk's time is noted: `replayed` says from them how long stages wait for each other, on a clock of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

from headrace.contracts.errors import ConfigError, HeadraceError
from headrace.nn.parallel.place import Divides, Place


@dataclass(frozen=True)
class Span:
    """cpu_s: of this process; start, stop: on its own clock."""

    kind: str
    micro: int
    cpu_s: float
    start: float
    stop: float


_NOTES: ContextVar[list[list[Span]] | None] = ContextVar("notes", default=None)


@contextmanager
def noted() -> Iterator[list[list[Span]]]:
    """Inside, every step of this process's pipelines adds its chunks to the list."""
    notes: list[list[Span]] = []
    before = _NOTES.set(notes)
    try:
        yield notes
    finally:
        _NOTES.reset(before)


class Pipeline:
    """group: the processes of all stages, in order."""

    def __init__(self, module: Divides, place: Place, group: Any, device: torch.device, dtype: torch.dtype):
        self.module, self.place, self.group, self.device, self.dtype = module, place, group, device, dtype
        self.schedules: dict[tuple[int, tuple[int, ...]], Any] = {}
        self.work: Callable[[int], Tensor] = lambda number: torch.empty(0)
        self.spans: list[Span] = []

    def __call__(self, shapes: Sequence[tuple[int, ...]], work: Callable[[int], Tensor]) -> None:
        """Leaves each parameter's gradient. shapes: of the states of each micro-batch. work(number): the states that this stage
        hands on, the last one's loss to descend, already times its share of the step.
        """
        if len(set(shapes)) > 1:
            raise ConfigError(
                f"A pipeline's micro-batches have states of one shape in a step, got {sorted(set(shapes))}. Give batches of "
                "equal rows and length (drop what is left over), or set train.parallel.pipeline = 1."
            )
        key = (len(shapes), shapes[0])
        if key not in self.schedules:
            self.schedules[key] = self._schedule(*key)
        self.work = work
        numbers = torch.arange(len(shapes), device=self.device)
        first = (numbers,) if self.place.first else ()
        try:
            self.schedules[key].step(*first, number=numbers, target=numbers if self.place.last else None, return_outputs=False)
        except RuntimeError as error:
            if isinstance(error.__cause__, HeadraceError):
                raise error.__cause__ from None
            raise
        notes = _NOTES.get()
        if notes is not None:
            notes.append(list(self.spans))
        self.spans.clear()

    def told(self, values: dict[str, float]) -> dict[str, float]:
        """Summed over the stages, which name the same ones."""
        total = torch.tensor(list(values.values()), dtype=torch.float64)
        distributed.all_reduce(total, group=self.group)
        return dict(zip(values, total.tolist(), strict=True))

    def _schedule(self, micro: int, shape: tuple[int, ...]) -> Any:
        states = torch.empty(shape, dtype=self.dtype, device="meta")
        number, loss = torch.zeros(1, dtype=torch.int64, device="meta"), torch.empty((), dtype=self.dtype, device="meta")
        stage = _Stage(
            _Part(self), self.place.stage, self.place.stages, self.device,
            input_args=number if self.place.first else states.requires_grad_(),
            output_args=loss.requires_grad_() if self.place.last else states.detach().requires_grad_(),
            group=self.group,
        )  # fmt: skip
        stage.spans = self.spans
        kind = Schedule1F1B if micro >= self.place.stages else ScheduleGPipe
        return kind(stage, micro, loss_fn=_itself, scale_grads=False)


def _itself(output: Tensor, number: Tensor) -> Tensor:
    return output


class _Part(nn.Module):
    """What torch calls a stage's module."""

    def __init__(self, of: Pipeline):
        super().__init__()
        self.of = [of]

    def forward(self, received: Tensor, number: Tensor) -> Tensor:
        (pipeline,) = self.of
        if not pipeline.place.first:
            pipeline.module.receive(received)
        return pipeline.work(int(number))


class _Stage(PipelineStage):
    """Its chunks are timed, and what it receives into lives as long as the chunk."""

    spans: list[Span]

    def get_fwd_recv_ops(self, fwd_chunk_id: int) -> Any:
        _buffers(self.args_recv_info[fwd_chunk_id], self.device)
        return super().get_fwd_recv_ops(fwd_chunk_id)

    def get_bwd_recv_ops(self, bwd_chunk_id: int) -> Any:
        if self.has_backward and not self.is_last:
            _buffers(self.grad_recv_info[bwd_chunk_id], self.device)
        return super().get_bwd_recv_ops(bwd_chunk_id)

    def forward_one_chunk(self, fwd_chunk_id: int, *args: Any, **kwargs: Any) -> Any:
        return self._timed("forward", fwd_chunk_id, lambda: super(_Stage, self).forward_one_chunk(fwd_chunk_id, *args, **kwargs))

    def backward_one_chunk(self, bwd_chunk_id: int, *args: Any, **kwargs: Any) -> None:
        self._timed("backward", bwd_chunk_id, lambda: super(_Stage, self).backward_one_chunk(bwd_chunk_id, *args, **kwargs))
        for info in (*self.args_recv_info[bwd_chunk_id], *self.grad_recv_info.get(bwd_chunk_id, ())):
            info.buffer = None

    def _prepare_backward_infra(self, *args: Any, **kwargs: Any) -> Any:
        made = super()._prepare_backward_infra(*args, **kwargs)
        for infos in (*self.args_recv_info.values(), *self.grad_recv_info.values()):
            for info in infos:
                info.buffer = None
        return made

    def _timed(self, kind: str, micro: int, run: Callable[[], Any]) -> Any:
        cpu, start = thread_time(), perf_counter()
        found = run()
        self.spans.append(Span(kind, micro, thread_time() - cpu, start, perf_counter()))
        return found


def _buffers(infos: Sequence[Any], device: torch.device) -> None:
    for info in infos:
        if info.tensor_meta is not None and not info.is_root_arg:
            info.buffer = torch.empty(info.tensor_meta.shape, dtype=info.tensor_meta.dtype, device=device)


def replayed(spans: Sequence[Sequence[Span]]) -> float:
    """The idle share of a step, each stage's chunks taking the processor time they took, in its own order, begun as soon as what
    they need is there, on a clock that nothing else disturbs.
    """
    done: dict[tuple[str, int, int], float] = {}
    clock, next_of = [0.0] * len(spans), [0] * len(spans)
    last = len(spans) - 1
    while any(at < len(own) for at, own in zip(next_of, spans, strict=True)):
        for stage, own in enumerate(spans):
            while next_of[stage] < len(own):
                span = own[next_of[stage]]
                neighbour = stage - 1 if span.kind == "forward" else stage + 1
                needed = 0.0 if not 0 <= neighbour <= last else done.get((span.kind, span.micro, neighbour))
                if needed is None:
                    break
                clock[stage] = max(clock[stage], needed) + span.cpu_s
                done[span.kind, span.micro, stage] = clock[stage]
                next_of[stage] += 1
    busy = sum(span.cpu_s for own in spans for span in own)
    return 1 - busy / (len(spans) * max(clock))


def waited(spans: Sequence[Sequence[Span]]) -> float:
    """The idle share of a step by the wall's clock, from the first chunk's start to the last one's end: waiting and sending.

    On a machine with fewer free cores than processes a chunk is also slowed down by the others, which this counts as work.
    """
    every = [span for own in spans for span in own]
    inside = sum(span.stop - span.start for span in every)
    return 1 - inside / (len(spans) * (max(span.stop for span in every) - min(span.start for span in every)))
