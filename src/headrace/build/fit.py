"""A component fitted as a stage: closed-form methods are called, learned ones are handed to the trainer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from headrace.artifacts.store import Artifact, Draft
from headrace.build.components import component_class, described, load_component, save_component, settings_of
from headrace.build.graph import Graph
from headrace.contracts.errors import ConfigError
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learner
from headrace.nn.seeded import seeded
from headrace.train.trainer import Trained, train


@dataclass(frozen=True)
class Source:
    """What a fit reads: `interactions` (made only when the fit is not found), the named objects it needs, and their artifacts.

    validate: a value of the component as it stands, higher is better. epochs: how long to train where nothing validates.
    window: what was asked of the data (cuts, limits), part of the key.
    """

    interactions: Callable[[], Interactions]
    inputs: Mapping[str, Artifact]
    window: Mapping[str, Any]
    needs: Callable[[], Mapping[str, Any]] = dict
    validate: Callable[[Any], float] | None = None
    epochs: int | None = None


def fit(
    graph: Graph, stage: str, name: str, values: Mapping[str, Any], table: Mapping[str, str], source: Source, *,
    seed: int, where: str, trusted: tuple[str, ...] = (),
) -> Artifact:  # fmt: skip
    """The fitted component as an artifact of kind `stage`; its manifest holds how the training went."""
    kind = component_class(name, table, where, trusted)
    settings = settings_of(kind, values, where)
    config = described(name, settings, seed=seed, epochs=source.epochs, **source.window)
    checkpoint, run = graph.checkpoint(stage, config, source.inputs, kind.revision)

    def make(draft: Draft) -> None:
        component, interactions = kind(settings, seed=seed), source.interactions()
        if isinstance(component, Learner):
            trained = _train(graph, component, interactions, source, f"{stage} {name}", seed, checkpoint, run)
            draft.metrics = {
                "epochs": trained.epochs, "steps": trained.steps, "best_value": trained.best_value, "curve": trained.curve,
            }  # fmt: skip
        else:
            graph.progress(f"{stage} {name}", 0, 1)
            _call(component, interactions, source, f"{stage} {name}")
            graph.progress(f"{stage} {name}", 1, 1)
        times = interactions.history.at_us
        draft.window_us = (int(times.min()), int(times.max())) if len(times) else None
        save_component(draft, component)

    artifact = graph.stage(stage, make, config=config, inputs=source.inputs, revision=kind.revision, personal=True, name=name)
    checkpoint.unlink(missing_ok=True)
    return artifact


def fitted(artifact: Artifact, table: Mapping[str, str], trusted: tuple[str, ...] = ()) -> Any:
    """The component an artifact holds."""
    return load_component(artifact, table, trusted)


def _call(component: Any, interactions: Interactions, source: Source, name: str) -> None:
    needs = getattr(component, "needs", ())
    if not needs:
        component.fit(interactions)
        return
    artifacts = source.needs()
    missing = [need for need in needs if need not in artifacts]
    if missing:
        raise ConfigError(f"{name} needs the artifacts {', '.join(missing)}, and has: {', '.join(artifacts) or 'none'}.")
    component.fit(interactions, artifacts)


def _train(
    graph: Graph, component: Any, interactions: Interactions, source: Source, name: str, seed: int, checkpoint: Any, run: str
) -> Trained:
    artifacts = source.needs()
    with seeded(seed, "init", name):
        learned = component.learn(interactions, artifacts)
    config = component.config.train
    if source.validate is None and source.epochs is not None:
        config = replace(config, epochs=source.epochs)
    validate = source.validate
    return train(
        learned,
        config,
        seed=seed,
        name=name,
        run=run,
        artifacts=artifacts,
        validate=None if validate is None else lambda: validate(component),
        checkpoint_path=checkpoint,
        progress=graph.progress,
    )
