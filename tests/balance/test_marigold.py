import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from headrace.balance.simplex import shortest
from headrace.balance.zeroth import products
from headrace.testing import check_balancer
from tests.balance.tasks import Tasks, check_resume, losses, named, rows


class Quadratics:
    """Five random ones in 50 dimensions: ℓ_i = (θ - c_i)' H_i (θ - c_i) / 2."""

    def __init__(self):
        draw = torch.Generator().manual_seed(0)
        self.theta = torch.nn.Parameter(torch.randn(50, generator=draw, dtype=torch.float64))
        self.centres = torch.randn(5, 50, generator=draw, dtype=torch.float64)
        roots = torch.randn(5, 50, 50, generator=draw, dtype=torch.float64) / 7
        self.shapes = roots @ roots.mT

    def losses(self):
        away = self.theta - self.centres
        return {str(i): one @ shape @ one / 2 for i, (one, shape) in enumerate(zip(away, self.shapes, strict=True))}

    @torch.no_grad()
    def again(self):
        return {name: loss.item() for name, loss in self.losses().items()}

    def gram(self):
        g = torch.stack([torch.autograd.grad(loss, self.theta)[0] for loss in self.losses().values()])
        return (g @ g.T).numpy()


@pytest.mark.parametrize("asked", [{}, {"along": "gradient"}, {"relative": False, "every": 2}])
def test_contract(asked):
    check_balancer(lambda: named("marigold", **asked))


def test_products_are_the_gram_matrix_times_the_shares_up_to_an_error_that_shrinks_with_the_step():
    about = Quadratics()
    shares = np.array([0.4, 0.1, 0.2, 0.2, 0.1])
    torch.stack([w * loss for w, loss in zip(shares, about.losses().values(), strict=True)]).sum().backward()
    exact, kept = about.gram() @ shares, about.theta.detach().clone()
    assert about.theta.grad is not None
    d = about.theta.grad.clone()
    errors = []
    for epsilon in (1e-2, 1e-3, 1e-4):
        found = products([about.theta], about.again(), about.again, epsilon=epsilon)
        delta = epsilon * float(kept.norm() / d.norm())
        bent = np.array([float(d @ shape @ d) for shape in about.shapes])
        assert_allclose(found, exact - delta * bent / 2, rtol=1e-7)  # of a quadratic there is no further term
        errors.append(np.abs(found / exact - 1).max())
    assert about.theta.equal(kept), "back to the bit"
    assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], [10, 10], rtol=0.05)
    assert errors[0] < 1e-2


def test_shares_reach_mgdas_where_the_parameters_stand_still():
    about = Quadratics()
    balancer = named("marigold", along="gradient", relative=False, rho=0.0, least=0.0, rate=0.3, decay=0.0, epsilon=1e-4)
    for _ in range(200):
        about.theta.grad = None
        weights = balancer.backward(about.losses(), None, about.again)
    gram, best = about.gram(), shortest(about.gram())
    shares = np.array(list(weights.values())) / 5
    assert_allclose(shares.sum(), 1)
    assert np.sqrt(shares @ gram @ shares) / np.sqrt(best @ gram @ best) == pytest.approx(1, abs=1e-3)


def test_looking_at_the_step_falls_for_what_it_helped_most():
    balancer = named("marigold", rate=0.2)
    z, found = losses(Tasks(), rows())
    first = balancer.backward(found, z, dict)
    values = {name: loss.item() for name, loss in found.items()}
    balancer.after_step(lambda: values | {"click": 0.5 * values["click"]})
    z, found = losses(Tasks(), rows())
    second = balancer.backward(found, z, dict)
    assert sum(first.values()) == pytest.approx(3)
    assert sum(second.values()) == pytest.approx(3)
    assert second["click"] / second["buy"] < first["click"] / first["buy"]


def test_it_looks_every_so_many_steps():
    looks = []
    balancer = named("marigold", every=3)
    for _ in range(6):
        z, found = losses(Tasks(), rows())
        balancer.backward(found, z, dict)
        balancer.after_step(lambda: looks.append(1) or {})  # type: ignore[func-returns-value]
    assert len(looks) == 2


@pytest.mark.parametrize("along", ["step", "gradient"])
def test_resume(tmp_path, along):
    check_resume(tmp_path, "marigold", along=along)
