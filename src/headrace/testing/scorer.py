"""What every scorer promises: the user side once, a score a candidate that does not hang on the other candidates or rows."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from headrace.contracts.batch import Batch, check_batch
from headrace.contracts.seams import Outputs, Scorer, State, Stored
from headrace.testing.expect import expect, expect_close, expect_equal
from headrace.testing.stored import check_stored


@torch.no_grad()
def check_scorer(scorer: Any, batch: Batch, candidates: Batch) -> None:
    """batch: what `user` reads, at least two rows. candidates: what `score` reads, at least two a row."""
    expect(isinstance(scorer, Scorer), f"{type(scorer).__name__} lacks user, score, schema or candidate_schema.")
    check_batch(batch, scorer.schema)
    sizes = check_batch(candidates, scorer.candidate_schema)
    scorer.eval()
    rows, width = candidates["items"].shape
    expect(rows > 1 and width > 1, f"The example has shape {(rows, width)} after {sizes}: take two rows and candidates or more.")

    state = scorer.user(batch)
    for name, tensor in state.items():
        expect(len(tensor) == rows, f'The state\'s "{name}" has shape {tuple(tensor.shape)}: expected {rows} rows in front.')
    outputs = scorer.score(state, candidates)
    logits = outputs.logits
    expect(isinstance(outputs, Outputs) and logits, "score returned no logits: expected Outputs with a task or more.")
    for task, values in logits.items():
        expect(values.shape == (rows, width), f'"{task}" has shape {tuple(values.shape)}, expected {(rows, width)}.')
        expect(values.isfinite().all(), f'"{task}" is not finite everywhere.')
        expect(values.unique().numel() > 1, f'"{task}" gives every candidate of the example {values[0, 0]}.')

    _alike(scorer.score(state, candidates), logits, "scored a second time from the same state")
    turned = torch.arange(width - 1, -1, -1)
    _alike(scorer.score(state, _columns(candidates, turned)), _columns(logits, turned), "candidates stand in another order")
    cut = torch.arange(max(width // 2, 1))
    _alike(scorer.score(state, _columns(candidates, cut)), _columns(logits, cut), "fewer candidates are scored")
    kept = torch.arange(rows - 1, 0, -1)
    _alike(scorer.score(_rows(state, kept), _rows(candidates, kept)), _rows(logits, kept), "cached states of some rows are used")
    alone = scorer.score(scorer.user(_rows(batch, kept)), _rows(candidates, kept))
    _alike(alone, _rows(logits, kept), "other rows share the batch")

    each = torch.arange(rows).repeat_interleave(width)
    pairs = {name: values.flatten(0, 1).unsqueeze(1) for name, values in candidates.items()}
    one_by_one = scorer.score(scorer.user(_rows(batch, each)), pairs).logits
    reshaped = Outputs({task: values.view(rows, width) for task, values in one_by_one.items()})
    _alike(reshaped, logits, "user and candidate are scored pair by pair")

    schemas = (scorer.schema, scorer.candidate_schema)
    if isinstance(scorer, Stored):
        copy: Any = check_stored(scorer)
        copy.eval()
        expect((copy.schema, copy.candidate_schema) == schemas, f"Read back, the schemas are others than {schemas}.")
        for task, values in copy.score(copy.user(batch), candidates).logits.items():
            expect_equal(values, logits[task], f'Read back, the scorer gives other logits for "{task}"')


def _alike(found: Outputs, wanted: Mapping[str, Tensor], when: str) -> None:
    expect(found.logits.keys() == wanted.keys(), f"Other tasks when {when}: {list(found.logits)} and {list(wanted)}.")
    for task, values in wanted.items():
        expect_close(found.logits[task], values, f'Other logits for "{task}" when {when}', relative=1e-4, absolute=1e-5)


def _rows(batch: Batch | State, rows: Tensor) -> dict[str, Tensor]:
    return {name: values[rows] for name, values in batch.items()}


def _columns(batch: Batch, columns: Tensor) -> dict[str, Tensor]:
    return {name: values[:, columns] for name, values in batch.items()}
