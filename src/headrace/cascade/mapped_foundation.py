"""What an upstream model knows, in this log's numbers: ids are matched once, and those that the upstream never met have nothing.

An upstream may have been fitted on labels of the time that a scorer here learns from, though not of the time that is tested on:
a state is always from before its request, but weights are not. The first is said in the report, the second refused.
Cost: reading the artifact, then a copy of the states of those who are in both logs.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from headrace.artifacts.store import Artifact, Draft
from headrace.build.graph import Graph
from headrace.cascade.foundation import read_foundation, write_foundation
from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import Int32
from headrace.data.feature_kinds import kinds_of
from headrace.data.features import Features
from headrace.data.foundation import Foundation, States, refuse_other_fields
from headrace.data.log import Log
from headrace.data.splits import Cuts
from headrace.data.vocabulary import Vocabulary
from headrace.nn.transferred import schema_of

REVISION = 1
_FOLDER = "foundation"


def mapped_foundation(graph: Graph, tables: Artifact, log: Log, folder: Path, digest: str) -> Artifact:
    """folder, digest: of the upstream's artifact. Its metrics say how many of this log's users and items it knows."""

    def make(draft: Draft) -> None:
        graph.progress("foundation", 0, 1)
        read = read_foundation(folder)
        users, items = (
            mapped(states, ids, numbers)
            for states, ids, numbers in (
                (read.foundation.users, read.user_ids, log.users), (read.foundation.items, read.item_ids, log.items),
            )
        )  # fmt: skip
        found = read.foundation
        write_foundation(
            draft.path / _FOLDER,
            Foundation(
                users, items, found.user_parts, found.item_parts, found.fields, found.block, found.settings,
                found.trained_until_us, found.made_of,
            ),
            log.users.ids, log.items.ids,
        )  # fmt: skip
        draft.metrics = {
            "users": len(log.users) - 1, "users_known": _known(users), "items": len(log.items) - 1, "items_known": _known(items),
            "user_parts": dict(found.user_parts), "item_parts": dict(found.item_parts), "made_of": found.made_of,
            "trained_until_us": found.trained_until_us, "layer": found.settings.get("layer"),
        }  # fmt: skip
        graph.progress("foundation", 1, 1)

    config, inputs = {"artifact": digest}, {"tables": tables}
    return graph.stage("foundation", make, config=config, inputs=inputs, revision=REVISION, personal=True)


def load_foundation(artifact: Artifact) -> Foundation:
    """By this log's numbers."""
    return read_foundation(artifact.path / _FOLDER).foundation


def mapped(states: States, ids: pl.Series, numbers: Vocabulary) -> States:
    """The same states under this log's numbers; ids: the id at place i has the states of i + 1."""
    theirs: Int32 = np.zeros(len(numbers), np.int32)
    theirs[1:] = Vocabulary(ids).encode(numbers.ids)
    lengths = np.where(theirs > 0, np.diff(states.offsets)[theirs], 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = np.repeat(states.offsets[theirs] - offsets[:-1], lengths) + np.arange(offsets[-1])
    return States(offsets, states.at_us[rows], states.values[rows])


def check_foundation(foundation: Foundation, features: Features, cuts: Cuts, where: str) -> None:
    """DataError for fields of one name and two kinds, ConfigError for an upstream that has seen what is tested on."""
    here = kinds_of(features)
    other = {name for name, (kind, _) in foundation.fields.items() if name in here and here[name][0] != kind}
    refuse_other_fields(
        f"{where} [foundation]", {name: foundation.fields[name] for name in other}, {name: here[name] for name in other},
        "Give the column another name, or take the upstream of a log that has it as this one does.",
    )  # fmt: skip
    if foundation.trained_until_us > cuts.test_us:
        until, test = (_moment(at_us) for at_us in (foundation.trained_until_us, cuts.test_us))
        raise ConfigError(
            f"{where} [foundation]: the upstream was trained on labels up to {until}, and this plan tests what comes from {test} "
            "on, so it has seen answers of the test. Make the upstream of a log that ends before, or give this one a smaller "
            "test_share or later events."
        )


def check_same(component: Any, foundation: Foundation | None, where: str) -> None:
    """DataError where a component was trained with an upstream of other parts or fields: it would read the wrong numbers."""
    trained_with = getattr(component, "foundation_schema", None)
    if trained_with is not None:
        refuse_other_fields(where, {} if foundation is None else schema_of(foundation), trained_with)


def foundation_told(artifact: Artifact, windows: dict[str, tuple[int, int]]) -> dict[str, str]:
    """For the report. windows: what each scorer learns from."""
    metrics: dict[str, Any] = artifact.manifest.metrics
    until = metrics["trained_until_us"]
    inside = [name for name, (start, _) in windows.items() if until > start]
    said = {
        side: f"{metrics[f'{side}_known']:,} of {metrics[side]:,} ({_share(metrics, side):.1%})" for side in ("users", "items")
    }
    note = f"trained on labels before {_moment(until)}"
    if inside:
        window = " and ".join(f"{name} learns from {_moment(windows[name][0])} on" for name in inside)
        note += (
            f", and {window}: it has seen labels of those days, so a scorer trusts it more there than what comes later deserves"
        )
    parts = ", ".join(f"{name} {width}" for name, width in metrics["user_parts"].items())
    of_items = ", ".join(f"{name} {width}" for name, width in metrics["item_parts"].items())
    return {
        "upstream": metrics["made_of"][:16], "users it knows": said["users"], "items it knows": said["items"],
        "labels": note, "of a user": parts, "of an item": of_items,
    }  # fmt: skip


def _known(states: States) -> int:
    return int((np.diff(states.offsets) > 0).sum())


def _share(metrics: dict[str, Any], side: str) -> float:
    return float(metrics[f"{side}_known"] / max(metrics[side], 1))


def _moment(at_us: int) -> str:
    return f"{np.datetime64(at_us, 'us').astype('datetime64[m]').astype(str).replace('T', ' ')} UTC"
