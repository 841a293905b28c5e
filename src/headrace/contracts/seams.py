"""The protocols every method plugs into. Fifty-nine systems implement these few; `headrace.testing` checks that they do.

Shapes: R requests, C candidates a request, S slots. Torch is named in annotations alone, so this file costs no import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import Allowed, Candidates, Float32, Float64, Int32, Requests, Slates

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from headrace.contracts.batch import Batch, Schema
    from headrace.contracts.interactions import Interactions

State = Mapping[str, "Tensor"]
"""What a scorer keeps of a user: flat, one leading row a request, so that it caches, ships and exports."""


@dataclass(frozen=True)
class Loss:
    """mean over `count` terms. The trainer weighs micro-batches and ranks by the count; metrics are for the eye alone.

    shared: the representation this loss has in common with its siblings, which some balancers work on.
    """

    mean: Tensor
    count: float
    shared: Tensor | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Services:
    """What an objective may lean on besides model and batch.

    artifacts: what `Learned.needs` named; a module among them is frozen, on the device and in evaluation mode. generator: the
    stream of this step: the same when a step is run again (resume, `reevaluate`), another at the next. ema: an averaged copy of
    the model where one is kept.
    """

    artifacts: Mapping[str, Any]
    generator: torch.Generator
    ema: nn.Module | None = None


@runtime_checkable
class Objective(Protocol):
    """Runs the forwards it needs (a perturbed one, a teacher's) and returns named means. Weights stay outside.

    An objective that is used with accumulation or several ranks also has `counts(batch) -> {name: count}`, so that the whole
    step's count is known before the first backward. One whose negatives are other rows of the batch says `crosses_rows = True`:
    each rank holds its own rows alone, so the trainer refuses it there by name. In micro-batches its negatives are those of one.
    """

    def __call__(self, model: Any, batch: Batch, services: Services) -> Mapping[str, Loss]: ...


@runtime_checkable
class Batches(Protocol):
    """Training data by address: `epoch(e)[i]` is a pure function of e and i, so a resumed run reads on exactly where it was."""

    def epoch(self, epoch: int) -> Sequence[Batch]: ...


@dataclass(frozen=True)
class Stream:
    """Objectives that read batches of their own beside the main ones, in the same optimizer step: another task, plain text.

    An epoch is one of the main batches; a stream goes round and round, a batch for each of theirs. name: a checkpoint keeps
    under it where the stream stands.
    """

    name: str
    objectives: Sequence[Objective]
    batches: Batches


@dataclass(frozen=True)
class Learned:
    """Anything trained: a module, its objectives, its batches, and the artifacts it needs. It has no loop.

    weights: loss name -> weight, 1 where not named; no two objectives, of whatever stream, may name a loss alike. A method of
    several phases is several of these in the graph. made_of: name -> digest of what the weights hang on ("tokenizer",
    "config"): it stands in every checkpoint, and one with another digest is refused.
    """

    module: nn.Module
    objectives: Sequence[Objective]
    batches: Batches
    needs: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    streams: Sequence[Stream] = ()
    made_of: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outputs:
    """logits: task -> [R, C]. shared: the representation the tasks have in common, for balancers. aux: experts' own losses."""

    logits: Mapping[str, Tensor]
    shared: Tensor | None = None
    aux: Mapping[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class Scorer(Protocol):
    """User side once a request, item side once a candidate.

    candidates: a batch of "items" [R, C] and named features [R, C, ...].

    schema: the batch `user` reads. candidate_schema: the batch `score` reads.
    """

    schema: Schema
    candidate_schema: Schema

    def user(self, batch: Batch) -> State: ...
    def score(self, state: State, candidates: Batch) -> Outputs: ...


@runtime_checkable
class Retriever(Protocol):
    """k candidates a request, best first, scored under one stage name. It never queries a store: requests carry all it needs."""

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates: ...


@runtime_checkable
class ClosedForm(Protocol):
    """A method fitted without gradients. One whose `needs` names artifacts is called as fit(interactions, artifacts)."""

    def fit(self, interactions: Interactions) -> None: ...


@runtime_checkable
class Learner(Protocol):
    """A method fitted by the trainer: it makes its parameters and says how to train them. artifacts: what it needs, by name."""

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned: ...


@runtime_checkable
class Policy(Protocol):
    """Whatever answers requests. `act` is a pure function of (policy_id, request id, seed); `log_prob` is exact.

    candidates: given to a policy that only fills a page; a whole cascade finds its own and takes None.
    `log_prob` of an item the policy could not have shown in that slot is -inf; of an empty slot, 0.
    """

    @property
    def policy_id(self) -> str: ...
    @property
    def deterministic(self) -> bool: ...

    def act(self, requests: Requests, candidates: Candidates | None = None, *, seed: int) -> Slates: ...
    def log_prob(self, requests: Requests, slates: Slates, candidates: Candidates | None = None) -> Float64: ...


@dataclass(frozen=True)
class PseudoLabels:
    """label [R, C] in [0, 1]; weight [R, C], 0 where the labeler has no opinion."""

    label: Float32
    weight: Float32


@runtime_checkable
class PseudoLabeler(Protocol):
    """Soft labels for candidates nobody saw."""

    def label(self, requests: Requests, unshown: Candidates) -> PseudoLabels: ...


Reevaluate = Callable[[], Mapping[str, float]]
"""The step's losses again, at the parameters as they stand now: same batch, same random stream, no gradient."""


@runtime_checkable
class Balancer(Protocol):
    """Several losses to one gradient. `backward` leaves it in `.grad` and returns the weight each loss got.

    losses: each already times its recipe weight and its share of the step's count (1 without accumulation and ranks).
    shared: the tensor the losses have in common, or None. accumulates: whether gradients of micro-batches may be summed;
    the trainer refuses accumulation and several ranks by the balancer's name where it is False.
    A balancer with `after_step(reevaluate)` is called once the optimizer has moved (FAMO, MARIGOLD).
    A balancer with state has `state_dict` and `load_state_dict` (tensors, numbers, text, lists and mappings of these).
    `mixed_precision`: whether it may be trusted with bfloat16 forwards; what `accumulates` says where it is not there.
    """

    accumulates: bool

    def backward(self, losses: Mapping[str, Tensor], shared: Tensor | None, reevaluate: Reevaluate) -> Mapping[str, float]: ...


@runtime_checkable
class Encoder(Protocol):
    """Frozen texts or images to vectors, float32 [n, dim]. `fingerprint` changes when the vectors would.

    inputs: strings, or images as uint8 [height, width, 3] (an array [n, height, width, 3] is a sequence of them). An encoder of
    one refuses the other with a DataError; one of both puts them in one space, so that a text can be a query for images.
    `headrace.testing.encoder` has a suite for each.
    """

    dim: int
    fingerprint: str

    def encode(self, inputs: Sequence[Any], kind: Literal["query", "item"]) -> Float32: ...


Status = Literal["passed", "blocked", "no_evidence"]


@dataclass(frozen=True)
class Decision:
    """What a gate saw and what it wanted to see. `no_evidence` never promotes."""

    status: Status
    observed: float
    threshold: float
    reason: str

    @property
    def promotes(self) -> bool:
        return self.status == "passed"


@runtime_checkable
class Gate(Protocol):
    """May the candidate generation replace the baseline? evidence: metric rows, estimates, counts, by name."""

    @property
    def name(self) -> str: ...
    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision: ...


@runtime_checkable
class Stored(Protocol):
    """A fitted component that can be put down as named arrays and picked up again from them and its config. No pickle."""

    def arrays(self) -> Mapping[str, NDArray[np.generic]]: ...
    @classmethod
    def from_arrays(cls, config: Any, arrays: Mapping[str, NDArray[np.generic]]) -> Stored: ...


@runtime_checkable
class Pinning(Protocol):
    """A page policy whose rules show items that no retriever may have proposed: they join the candidates, unscored (NaN)."""

    def with_pins(self, requests: Requests, candidates: Candidates, allowed: Allowed) -> Candidates: ...


@runtime_checkable
class Welcoming(Protocol):
    """A page policy that can fill its slots with items beyond the build's too, once it is told of them.

    numbers [n]: ascending, behind the build's. categories [n, W]: the numbers that `encode` has for their names, 0 for none.
    vectors [n, dim] or None.
    """

    def welcoming(
        self, numbers: Int32, categories: Int32, vectors: Float32 | None, encode: Callable[[Sequence[str]], Int32]
    ) -> Policy: ...
