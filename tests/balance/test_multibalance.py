import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from headrace.balance.balanced import Seen
from headrace.balance.multibalance import stepped
from headrace.balance.simplex import shortest
from headrace.testing import check_balancer
from tests.balance.tasks import TASKS, Tasks, check_resume, explicit, gradients, losses, named, rows

NAMES = ["a", "b"]


def weights_of(solver, gram):
    return solver(Seen(NAMES, np.ones(2), np.asarray(gram), NAMES))


@pytest.mark.parametrize(
    "asked", [{"balance": "exact", "warmup": 0}, {"warmup": 0}, {"oracle": "theta"}, {"reference": "max"}, {"every": 3}]
)
def test_contract(asked):
    check_balancer(lambda: named("multibalance", **asked))


@pytest.mark.parametrize("oracle", ["shared", "theta"])
def test_the_gradient_is_that_of_the_explicit_backwards(oracle):
    """Σ m λ_i n_ref / n_i ∇ℓ_i at the body, each head its own."""
    model, batch = Tasks(), rows()
    z, found = losses(model, batch)
    balancer = named("multibalance", balance="exact", warmup=0, oracle=oracle)
    weights = balancer.backward(found, z, dict)
    got = gradients(model)
    by_task = explicit(model, batch)
    z, found = losses(model, batch)
    if oracle == "shared":
        g = [torch.autograd.grad(loss, z, retain_graph=True)[0].flatten().numpy() for loss in found.values()]
    else:
        g = [np.concatenate([v.flatten().numpy() for k, v in by_task[task].items() if k.startswith("body")]) for task in TASKS]
    n = np.array([np.linalg.norm(one) for one in g])
    unit = np.stack(g) * (n.mean() / n)[:, None]
    gram = unit @ unit.T / (n.mean() ** 2)
    shares = 0.05 / 3 + 0.95 * shortest(gram + 1e-3 * np.eye(3))
    wanted = 3 * shares * n.mean() / n
    assert_allclose([weights[task] for task in TASKS], wanted, rtol=1e-6)
    for name, gradient in got.items():
        own = name.startswith("heads")
        explicit_sum = sum((1.0 if own else w) * by_task[task][name] for task, w in zip(TASKS, wanted, strict=True))
        torch.testing.assert_close(gradient, explicit_sum, rtol=1e-6, atol=1e-9)


def test_magnitudes_alone_make_gradients_equally_long():
    weights = weights_of(named("multibalance", balance="none", decay=0.0).solver, np.diag([1.0, 1e4]))
    assert_allclose(weights * [1, 100], [50.5, 50.5])


def test_lengths_are_averaged_over_steps():
    solver = named("multibalance", balance="none", decay=0.5).solver
    weights_of(solver, np.diag([1.0, 1.0]))
    weights = weights_of(solver, np.diag([1.0, 9.0]))  # (0.25 · 1 + 0.5 · 3) / 0.75 = 7 / 3
    assert_allclose(weights, np.array([1, 3 / 7]) * (1 + 7 / 3) / 2)


def test_shares_stay_even_while_it_warms_up():
    solver = named("multibalance", warmup=2, gram_decay=0.0, gamma=0.5).solver
    gram = np.array([[1.0, 0.2], [0.2, 1.0]])
    assert_allclose([weights_of(solver, gram) for _ in range(2)], np.ones((2, 2)))
    three = np.array([[1.0, -0.5, 0.1], [-0.5, 1.0, 0.6], [0.1, 0.6, 1.0]])
    names = ["a", "b", "c"]
    moved = [solver(Seen(names, np.ones(3), three, names)) for _ in range(2)][-1]
    assert_allclose(moved.sum(), 3)
    assert moved[2] < moved[0], "c agrees with both, so it is needed least"


def test_steps_reach_the_exact_answer():
    gram = np.array([[1.0, -0.5, 0.1], [-0.5, 1.0, 0.6], [0.1, 0.6, 1.0]])
    shares = np.full(3, 1 / 3)
    for _ in range(2000):
        shares = stepped(shares, gram, gamma=0.1, rho=0.0, least=0.0)
    assert_allclose(shares, shortest(gram), atol=1e-6)


@pytest.mark.parametrize("oracle", ["shared", "theta"])
def test_between_two_looks_weights_stand_still_and_the_gradient_is_theirs(oracle, monkeypatch):
    balancer = named("multibalance", balance="none", every=3, oracle=oracle)
    z, found = losses(Tasks(), rows())
    looked = balancer.backward(found, z, dict)
    seen = []
    monkeypatch.setattr("headrace.balance.oracles._gram", lambda *_: seen.append(1) or np.eye(3))  # type: ignore[func-returns-value]
    for _ in range(2):
        model, batch = Tasks(), rows()
        by_task = explicit(model, batch)
        z, found = losses(model, {**batch, "like": batch["like"] * 7})
        by_task["like"] = explicit(model, {**batch, "like": batch["like"] * 7})["like"]
        assert balancer.backward(found, z, dict) == looked
        for name, gradient in gradients(model).items():
            own = name.startswith("heads")
            wanted = sum((1.0 if own else looked[task]) * by_task[task][name] for task in TASKS)
            torch.testing.assert_close(gradient, wanted, rtol=1e-6, atol=1e-9)
    assert not seen
    model = Tasks()
    z, found = losses(model, rows())
    balancer.backward(found, z, dict)
    assert seen, "the fourth step looks again"


def test_a_task_that_was_not_there_at_the_look_keeps_weight_one_until_the_next():
    balancer = named("multibalance", balance="none", every=2)
    z, found = losses(Tasks(), rows())
    first = balancer.backward({task: found[task] for task in ("click", "like")}, z, dict)
    z, found = losses(Tasks(), rows())
    assert balancer.backward(found, z, dict) == first | {"buy": 1.0}


@pytest.mark.parametrize("every", [1, 3])
def test_resume(tmp_path, every):
    check_resume(tmp_path, "multibalance", warmup=2, every=every)
