"""What the tests of rankers of several tasks share: lists with two tasks, a rule to learn, a balancer, and what a cut is."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from headrace.balance.makers import balancer_of
from headrace.contracts.seams import PseudoLabels
from headrace.contracts.training import TrainConfig
from headrace.nn.seeded import seeded
from headrace.objectives.pseudo import PSEUDO
from headrace.testing.examples import some_lists
from headrace.train.trainer import train
from tests.methods.examples import SIZES, featured, inputs, lists_with_a_rule

TASKS = ("click", "purchase")


def task_lists(lists=None, pseudo=False, tasks=TASKS):
    """Each task after the first is a part of the first; of every seventh candidate it is not known."""
    lists = lists or some_lists()
    draw = np.random.default_rng(4)
    labels, shape = {tasks[0]: lists.label}, lists.label.shape
    dark = np.arange(lists.label.size).reshape(shape) % 7 == 3
    for name in tasks[1:]:
        rarer = lists.label * (draw.random(shape) < 0.6)
        labels[name] = np.where(dark, np.float32("nan"), rarer).astype(np.float32)
    if not pseudo:
        return replace(lists, tasks=labels)
    known = ((draw.random(shape) < 0.5) | (lists.label > 0)) & lists.candidates.there
    said = PseudoLabels(draw.random(shape).astype(np.float32), (draw.random(shape) < 0.8).astype(np.float32))
    return replace(lists, known=known, tasks=labels, pseudo=said)


def learned(kind, settings, lists=None, sizes=SIZES, vectors=None):
    interactions, artifacts = featured(lists or task_lists(), sizes, vectors)
    model = kind(settings)
    with seeded(0, "init"):
        return model, model.learn(interactions, artifacts), artifacts["candidate_lists"]


def some_body(kind, *given, **settings):
    """Of the same draw each time, without dropout."""
    with seeded(0, "init"):
        return kind(*given, **settings).eval()


def check_learns(kind, settings):
    """The first task is the candidate with a number below 5; the second, of these, those below 3."""
    lists, _ = lists_with_a_rule()
    rare = (lists.label * (lists.candidates.items < 3)).astype(np.float32)
    labels = {"click": lists.label, "purchase": rare}
    model, made, lists = learned(kind, replace(settings, batch_size=32), replace(lists, tasks=labels), sizes={})
    train(made, TrainConfig(epochs=20, learning_rate=0.01, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    model.eval()
    with torch.no_grad():
        user, candidates = inputs(model, lists)
        logits = model.score(model.user(user), candidates).logits
    for task, label in labels.items():
        said = logits[task].numpy()
        assert (said[label > 0][:, None] > said[label == 0]).mean() > 0.97, task


def check_balanced(kind, settings, steps=2):
    """Two steps with gradients compared at `shared`: they differ from those of the plain sum, and nothing is left out."""

    def trained(balancer, **given):
        model, made, _ = learned(kind, replace(settings, batch_size=12), task_lists(pseudo=True))
        balancer = balancer_of(TrainConfig(balancer=balancer, balancer_settings=given), "rank")
        weights, whole = [], balancer.backward

        def heard(*args):
            weights.append(whole(*args))
            return weights[-1]

        balancer.backward = heard
        done = train(made, TrainConfig(epochs=1, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs), balancer=balancer)
        assert done.steps == steps
        return weights, model.state_dict()

    weights, moved = trained("multibalance", oracle="shared")
    assert [set(one) for one in weights] == [{*TASKS, PSEUDO}] * steps
    assert all(0 < value < 100 for one in weights for value in one.values())
    assert any(abs(value - 1) > 0.05 for one in weights for value in one.values())
    assert all(one.isfinite().all() for one in moved.values())
    plain = trained("equal")[1]
    assert any(not one.equal(plain[name]) for name, one in moved.items())


def check_cut(body, width, tasks):
    """With what the heads read cut off, no way leads from a task to a parameter that two tasks hang on, be it below the body.

    Gives the names of these parameters.
    """
    below = nn.Linear(width, width)
    x = torch.randn(9, width, generator=torch.Generator().manual_seed(0))
    whole = nn.ModuleDict({"below": below, "body": body}).eval()
    reached, read = _reached(whole, below, x, lambda z: z)
    left, _ = _reached(whole, below, x, lambda z: z.detach())
    assert tuple(reached) == tuple(tasks)
    assert read, "the heads read `shared` itself"
    common = {name for names in reached.values() for name in names if sum(name in some for some in reached.values()) > 1}
    assert {"below.weight", "below.bias"} <= common
    assert {task: names & common for task, names in left.items()} == {task: set() for task in tasks}
    return common


def _reached(whole, below, x, cut):
    """Task -> the parameters to which a way leads; whether what the heads were given is what the body calls shared."""
    given = []

    def before(module, args):
        given.extend(args)
        return cut(*args)

    hook = whole.body.heads.register_forward_pre_hook(before)
    found = whole.body(below(x))
    hook.remove()
    return {task: _ways(whole, logit) for task, logit in found.logits.items()}, found.shared is given[0]


def _ways(whole, logit):
    if not logit.requires_grad:
        return set()
    names, parameters = zip(*whole.named_parameters(), strict=True)
    found = torch.autograd.grad(logit.square().sum(), parameters, allow_unused=True, retain_graph=True)
    return {name for name, gradient in zip(names, found, strict=True) if gradient is not None}
