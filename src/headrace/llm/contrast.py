"""What two groups want differently of the same kind of task: a CONTRAST rubric, or none where nothing tells them apart.

    minibatches of both groups' reasons, with the list so far  ->  aspects with both sides stated
    share_g(aspect)   reasons of group g ordered under it / reasons of group g
    kept              |share_A - share_B| >= least_gap  and  two-proportion z-test, Benjamini-Hochberg over all aspects, below fdr

    z = (a / n_a - b / n_b) / sqrt(p (1 - p) (1 / n_a + 1 / n_b)),   p = (a + b) / (n_a + n_b)

An aspect whose sides read alike is dropped and counted: what both want steers nobody. The test is on the reasons that proposed
the aspects, so it is a sieve and no proof; steer by a rubric only after it held on other conversations. Groups are what people do
(novices and experts at a task), never who they are.
Relation to `learner`: its running list, over two heaps of reasons. Paper: Mondal et al., Group Preference Alignment, EMNLP 2025
(industry), step 1; the shares and their test are our own, for the paper leaves the choice of aspects to the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from math import erfc, sqrt
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

from headrace.contracts.chat import ChatModel, Sampling
from headrace.contracts.config import config
from headrace.contracts.errors import DataError
from headrace.llm.asking import Tally, asked
from headrace.llm.learner import KEY, NUMBERS, SENTENCE, Reason, batches, counted, distinct, list_of, numbered, plain
from headrace.llm.prompt import load
from headrace.llm.rubric import Item, Rubric


@config
class ContrastConfig:
    """items: aspects, at most. batch: reasons of each group in one question."""

    items: Annotated[int, Gt(0)] = 10
    batch: Annotated[int, Gt(0)] = 25
    fdr: Annotated[float, Gt(0), Le(1)] = 0.05
    least_gap: Annotated[float, Ge(0), Le(1)] = 0.1
    max_tokens: Annotated[int, Gt(0)] = 1500
    seed: int = 0


_DEFAULT = ContrastConfig()


@dataclass(frozen=True)
class Contrast:
    """rubric: None where no aspect told the groups apart. alike: aspects whose two sides read alike. weak: those that the test or
    the gap left out. tally: what was asked and could not be used."""

    rubric: Rubric | None
    alike: int
    weak: tuple[Item, ...]
    tally: Tally


@dataclass(frozen=True)
class _Aspect:
    key: str
    description: str
    a: str
    b: str
    reasons_a: int
    reasons_b: int


def contrast(
    model: ChatModel, reasons: Mapping[str, Sequence[Reason]], *, name: str, scope: Mapping[str, str],
    config: ContrastConfig = _DEFAULT,
) -> Contrast:  # fmt: skip
    """reasons: group -> what `RubricLearner.extract` found of its training conversations, for exactly two groups."""
    if len(reasons) != 2 or not all(reasons.values()):
        counts = ", ".join(f"{group} ({len(rows)} reasons)" for group, rows in reasons.items())
        raise DataError(f'contrast "{name}": groups are {counts or "none"}, expected two with reasons each.')
    first, second = reasons
    prompt, schema = load("contrast"), _schema(config.items)
    aspects: list[_Aspect] = []
    tally, alike = Tally(), 0
    parts = [batches(reasons[group], config.batch, config.seed, group) for group in (first, second)]
    for batch_a, batch_b in zip_longest(*parts, fillvalue=[]):
        chat = prompt.chat(
            n=config.items, a=numbered(batch_a) or "(none)", b=numbered(batch_b) or "(none)", current=_current(aspects)
        )
        read = partial(_read, (len(batch_a), len(batch_b)), aspects)
        (found,), one = asked(model, [chat], schema, read, Sampling(max_tokens=config.max_tokens))
        tally += one
        if found is not None:
            alike += sum(plain(aspect.a) == plain(aspect.b) for aspect in found)
            aspects = [aspect for aspect in found if plain(aspect.a) != plain(aspect.b)]
    items = _tested(aspects, first, second, len(reasons[first]), len(reasons[second]))
    kept = [one for one in items if one.stat["fdr"] < config.fdr and abs(one.stat["gap"]) >= config.least_gap]
    weak = tuple(one for one in items if one not in kept)
    method = f"contrast, {model.id}, {prompt.id}, seed {config.seed}"
    rubric = Rubric(name, "CONTRAST", tuple(kept), scope, method=method) if kept else None
    return Contrast(rubric, alike, weak, tally)


def two_proportions(a: int, n_a: int, b: int, n_b: int) -> tuple[float, float]:
    """z and its two-sided p; 0 and 1 where neither or all have it."""
    pooled = (a + b) / (n_a + n_b)
    if pooled in (0, 1):
        return 0.0, 1.0
    z = (a / n_a - b / n_b) / sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    return z, erfc(abs(z) / sqrt(2))


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Each p adjusted to the false discovery rate at which it would just be kept."""
    adjusted, least = [1.0] * len(p), 1.0
    order = sorted(range(len(p)), key=p.__getitem__)
    for rank in range(len(p), 0, -1):
        least = min(least, p[order[rank - 1]] * (len(p) / rank))
        adjusted[order[rank - 1]] = least
    return adjusted


def _tested(aspects: Sequence[_Aspect], first: str, second: str, n_a: int, n_b: int) -> list[Item]:
    tests = [two_proportions(one.reasons_a, n_a, one.reasons_b, n_b) for one in aspects]
    rates = benjamini_hochberg([p for _, p in tests])
    return [
        Item(
            one.key, one.description, support=one.reasons_a + one.reasons_b, sides={first: one.a, second: one.b},
            stat={"share_a": one.reasons_a / n_a, "share_b": one.reasons_b / n_b,
                  "gap": one.reasons_a / n_a - one.reasons_b / n_b, "z": z, "p": p, "fdr": rate},
        )
        for one, (z, p), rate in zip(aspects, tests, rates, strict=True)
    ]  # fmt: skip


def _read(sizes: tuple[int, int], before: Sequence[_Aspect], _: int, answer: Mapping[str, Any]) -> list[_Aspect]:
    rows = answer["aspects"]
    keys = distinct([row["key"] for row in rows])
    counts_a = counted([row["a_reasons"] for row in rows], sizes[0])
    counts_b = counted([row["b_reasons"] for row in rows], sizes[1])
    had = {one.key: (one.reasons_a, one.reasons_b) for one in before}
    return [
        _Aspect(
            key, row["description"].strip(), row["a"].strip(), row["b"].strip(),
            had.get(key, (0, 0))[0] + a, had.get(key, (0, 0))[1] + b,
        )
        for key, row, a, b in zip(keys, rows, counts_a, counts_b, strict=True)
    ]  # fmt: skip


def _current(aspects: Sequence[_Aspect]) -> str:
    return "\n".join(f"- {one.key}: {one.description} (A: {one.a}; B: {one.b})" for one in aspects) or "(empty)"


def _schema(most: int) -> dict[str, Any]:
    row = {"key": KEY, "description": SENTENCE, "a": SENTENCE, "b": SENTENCE, "a_reasons": NUMBERS, "b_reasons": NUMBERS}
    return list_of("aspects", row, maxItems=most)
