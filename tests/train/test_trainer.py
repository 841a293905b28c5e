import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from headrace.balance.equal import Equal
from headrace.contracts.errors import ArtifactError, ConfigError, HeadraceError
from headrace.contracts.seams import Loss
from headrace.contracts.training import RateLawConfig, TrainConfig
from headrace.optim.schedules import factor
from headrace.train.trainer import train
from tests.train.small import CONFIG, Rows, Squared, Stopped, learned, model_of, weights


class Validation:
    """Values by epoch, whatever the model; keeps the weights it was asked about."""

    def __init__(self, model, values):
        self.model, self.values, self.seen = model, list(values), []

    def __call__(self):
        self.seen.append(weights(self.model).clone())
        return self.values[len(self.seen) - 1]


def test_it_learns():
    rows = Rows((20, 20, 20, 20))
    rows.y = rows.x @ torch.tensor([1.0, -2.0, 0.5, 0.0])
    result = train(learned(nn.Linear(4, 1), rows, [Squared()]), TrainConfig(epochs=60, learning_rate=0.1, device="cpu"), seed=0)
    assert result.steps == 240
    assert result.epochs == len(result.curve) == 60
    assert result.curve[-1]["squared"] < 1e-3 < result.curve[0]["squared"]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("stop_at", [1, 4, 5, 7, 13])
def test_a_run_taken_up_again_ends_in_the_same_bits(tmp_path, stop_at, accumulate):
    config = TrainConfig(**vars(CONFIG) | {"checkpoint_every_steps": 1, "accumulate": accumulate})

    def run(stop_at, path):
        model = model_of()
        # a validation of the model itself, so that the best epoch hangs on the weights
        value = lambda: -float(weights(model).norm())  # noqa: E731
        return model, train(learned(model, Rows(stop_at=stop_at)), config, seed=7, run="a", validate=value, checkpoint_path=path)

    straight, result = run(None, None)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stopped):
        run(stop_at, path)
    again, resumed = run(None, path)
    for name, tensor in straight.state_dict().items():
        assert again.state_dict()[name].equal(tensor), name
    assert resumed.curve == result.curve
    assert (resumed.steps, resumed.epochs, resumed.best_value) == (result.steps, result.epochs, result.best_value)


def test_resume_would_show_a_lost_optimizer_state(tmp_path):
    """What the test above rests on: the seed, the dropout and the optimizer's memory all leave a trace in the weights."""
    straight = model_of()
    train(learned(straight), CONFIG, seed=7)
    other_seed, cold = model_of(), model_of()
    train(learned(other_seed), CONFIG, seed=8)
    train(learned(cold), TrainConfig(**vars(CONFIG) | {"epochs": 1}), seed=7)
    train(learned(cold), TrainConfig(**vars(CONFIG) | {"epochs": 2}), seed=7)
    assert not weights(other_seed).equal(weights(straight))
    assert not weights(cold).equal(weights(straight))


def test_a_finished_run_is_not_run_again(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    first, again = model_of(), model_of()
    result = train(learned(first), CONFIG, seed=0, checkpoint_path=path)
    repeated = train(learned(again, Rows(stop_at=0)), CONFIG, seed=0, checkpoint_path=path)
    assert weights(first).equal(weights(again))
    assert repeated.curve == result.curve


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    train(learned(), CONFIG, seed=0, run="one", checkpoint_path=path)
    with pytest.raises(ArtifactError, match="is of another run"):
        train(learned(), CONFIG, seed=0, run="two", checkpoint_path=path)
    path.write_bytes(b"torn")
    with pytest.raises(ArtifactError, match="checkpoint of ours"):
        train(learned(), CONFIG, seed=0, run="one", checkpoint_path=path)


def test_a_checkpoint_made_of_other_things_is_refused(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    train(learned(made_of={"tokenizer": "ab12"}), CONFIG, seed=0, checkpoint_path=path)
    with pytest.raises(ArtifactError, match="its tokenizer is ab12, this run's cd34"):
        train(learned(made_of={"tokenizer": "cd34"}), CONFIG, seed=0, checkpoint_path=path)


def test_a_checkpoint_of_the_format_before_goes_on_in_the_same_bits(tmp_path):
    """It did not count the steps whose losses it had summed."""
    config, path = replace(CONFIG, accumulate=2, checkpoint_every_steps=1), tmp_path / "checkpoint.safetensors"
    straight, again = model_of(), model_of()
    wanted = train(learned(straight), config, seed=7)
    with pytest.raises(Stopped):
        train(learned(batches=Rows(stop_at=9)), config, seed=7, checkpoint_path=path)
    with safe_open(path, "pt") as file:
        header, tensors = json.loads(file.metadata()["headrace"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert (header["position"]["index"], header["position"].pop("summed")) == (4, 2)
    del header["made_of"], header["position"]["streams"]
    save_file(tensors, path, {"headrace": json.dumps(header | {"format": 2})})
    result = train(learned(again), config, seed=7, checkpoint_path=path)
    assert weights(again).equal(weights(straight))
    assert result.curve == wanted.curve


class Remembers(Equal):
    """A balancer with state and an after_step."""

    accumulates = False

    def __init__(self):
        self.steps, self.given, self.asked, self.moved = 0, [], [], []

    def backward(self, losses, shared, reevaluate):
        self.given.append({name: float(loss.detach()) for name, loss in losses.items()})
        self.asked.append(reevaluate())
        return super().backward(losses, shared, reevaluate)

    def after_step(self, reevaluate):
        self.steps += 1
        self.moved.append(reevaluate())

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


def test_a_balancer_may_evaluate_the_step_again():
    balancer = Remembers()
    objectives = [Squared(noise=0.1, name="a"), Squared(noise=0.3, name="b")]
    train(learned(objectives=objectives, weights={"b": 50.0}), CONFIG, seed=0, balancer=balancer)
    assert balancer.steps == 15
    assert balancer.asked == balancer.given, "same batch, same dropout and noise, same weights"
    assert all(after.keys() == {"a", "b"} for after in balancer.moved)
    assert balancer.moved != balancer.given, "after the step the parameters are others"
    assert balancer.given[0]["b"] > 20 * balancer.given[0]["a"], "a recipe's weights reach the balancer"


def test_evaluating_again_changes_nothing():
    watched, plain = model_of(), model_of()
    train(learned(watched), CONFIG, seed=0, balancer=Remembers())
    train(learned(plain), CONFIG, seed=0)
    assert weights(watched).equal(weights(plain))


def test_a_balancers_state_is_kept(tmp_path):
    path, balancer = tmp_path / "checkpoint.safetensors", Remembers()
    with pytest.raises(Stopped):
        train(learned(batches=Rows(stop_at=7)), CONFIG, seed=0, balancer=Remembers(), checkpoint_path=path)
    train(learned(), CONFIG, seed=0, balancer=balancer, checkpoint_path=path)
    assert balancer.steps == 15


@pytest.mark.parametrize("sizes", [(3, 1, 4, 2, 2), (1, 5)])
def test_micro_batches_add_up_to_one_batch(sizes):
    """In float64, where the order of a sum shows only far behind the comma; no dropout, whose draws are a micro-batch's own."""

    def run(accumulate, sizes):
        model = model_of(dropout=0.0).double()
        rows = Rows(sizes)
        rows.x, rows.y = rows.x.double(), rows.y.double()
        objectives = [Squared(name="a"), Squared(name="b")]
        config = TrainConfig(epochs=4, learning_rate=0.05, accumulate=accumulate, device="cpu")
        return model, train(learned(model, rows, objectives, weights={"b": 3.0}), config, seed=0)

    micro, of_micro = run(len(sizes), sizes)
    whole, of_whole = run(1, (sum(sizes),))
    assert_close(weights(micro), weights(whole), rtol=1e-9, atol=1e-9)
    assert of_micro.steps == of_whole.steps == 4
    for one, other in zip(of_micro.curve, of_whole.curve, strict=True):
        assert one == pytest.approx(other)


def test_what_cannot_accumulate_is_refused_by_name():
    config = TrainConfig(accumulate=2, device="cpu")
    with pytest.raises(ConfigError, match="Remembers can't accumulate"):
        train(learned(), config, seed=0, balancer=Remembers())

    def uncounted(model, batch, services):
        return Squared()(model, batch, services)

    with pytest.raises(ConfigError, match=r"function has no counts\(batch\)"):
        train(learned(objectives=[uncounted]), config, seed=0)


def test_the_best_epochs_weights_are_kept():
    model = model_of()
    validation = Validation(model, [0.1, 0.5, 0.2, 0.5, 0.3, 9.0])
    result = train(learned(model), TrainConfig(epochs=6, patience=3, device="cpu"), seed=0, validate=validation)
    assert (result.epochs, result.best_value, len(result.curve)) == (2, 0.5, 5), "stopped before the 6th"
    assert [entry["valid"] for entry in result.curve] == [0.1, 0.5, 0.2, 0.5, 0.3]
    assert weights(model).equal(validation.seen[1])
    assert not weights(model).equal(validation.seen[-1])
    assert not model.training


def test_without_validation_the_last_weights_are_kept():
    model = model_of()
    assert train(learned(model), CONFIG, seed=0).epochs == 3
    longer = model_of()
    train(learned(longer), TrainConfig(**vars(CONFIG) | {"epochs": 4}), seed=0)
    assert not weights(model).equal(weights(longer))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_said_before_it_does_harm(value):
    rows = Rows()
    rows.y[5] = value
    model = model_of()
    with pytest.raises(HeadraceError, match=r"sasrec: squared became (nan|inf), the gradient's norm became nan at step \d"):
        train(learned(model, rows), CONFIG, seed=0, name="sasrec")
    assert weights(model).isfinite().all()


def test_what_is_not_finite_is_named_and_the_last_good_checkpoint_stays(tmp_path):
    class Cliff(Squared):
        """The bias of the last layer gets a gradient of inf from step 3 on."""

        def __call__(self, model, batch, services):
            loss = super().__call__(model, batch, services)[self.name]
            steep = (model[3].bias - model[3].bias.detach()).clamp(min=0).sqrt().sum()
            self.step = getattr(self, "step", -1) + 1
            return {self.name: Loss(loss.mean + (steep if self.step >= 3 else 0.0), loss.count)}

    path, config = (
        tmp_path / "checkpoint.safetensors",
        TrainConfig(**vars(CONFIG) | {"checkpoint_every_steps": 2, "clip_norm": 0.0}),
    )
    with pytest.raises(HeadraceError) as error:
        train(learned(objectives=[Cliff(noise=0.1)]), config, seed=0, name="sasrec", checkpoint_path=path)
    said = str(error.value)
    assert "sasrec: the gradient's norm became" in said
    assert "at step 3. The largest gradient is that of 3.bias (" in said
    assert ", 1 of 4 are not finite)" in said
    assert said.endswith(f"{path} holds the run as it stood after step 2.")
    again, straight = model_of(), model_of()
    train(learned(again), config, seed=0, checkpoint_path=path)
    train(learned(straight), config, seed=0)
    assert weights(again).equal(weights(straight)), "the checkpoint that stayed is whole, and of before"


def test_a_validation_value_that_is_no_number_is_said():
    with pytest.raises(HeadraceError, match="sasrec: the validation value of epoch 1 is not a number"):
        train(learned(), CONFIG, seed=0, name="sasrec", validate=lambda: math.nan)


def test_a_gradient_that_is_not_finite_is_said_before_it_does_harm():
    class Cliff(Squared):
        def __call__(self, model, batch, services):
            loss = super().__call__(model, batch, services)[self.name]
            return {self.name: Loss(loss.mean + (loss.mean - loss.mean).abs().sqrt(), loss.count)}

    model = model_of()
    with pytest.raises(HeadraceError, match="the gradient's norm became nan at step 0"):
        train(learned(model, objectives=[Cliff()]), CONFIG, seed=0)
    assert weights(model).isfinite().all()


def test_the_optimizer_may_be_another(tmp_path):
    made = []

    def plain(module):
        made.append(torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9))
        return made[-1]

    straight, again, path = model_of(), model_of(), tmp_path / "checkpoint.safetensors"
    train(learned(straight), CONFIG, seed=0, optimizer=plain)
    with pytest.raises(Stopped):
        train(learned(batches=Rows(stop_at=7)), CONFIG, seed=0, optimizer=plain, checkpoint_path=path)
    train(learned(again), CONFIG, seed=0, optimizer=plain, checkpoint_path=path)
    assert weights(again).equal(weights(straight))
    assert len(made) == 3


def test_the_rate_goes_as_scheduled():
    class Watched(Equal):
        def __init__(self):
            self.rates = []

        def after_step(self, reevaluate):
            self.rates.append(made[-1].param_groups[0]["lr"])

    made = []

    def plain(module):
        made.append(torch.optim.SGD(module.parameters(), lr=0.1))
        return made[-1]

    config = TrainConfig(**vars(CONFIG) | {"schedule": "linear", "warmup_steps": 5, "final_share": 0.2, "accumulate": 2})
    balancer = Watched()
    train(learned(), config, seed=0, balancer=balancer, optimizer=plain)
    assert balancer.rates == [0.1 * factor(step, 9, "linear", warmup=5, final=0.2) for step in range(9)]


def test_an_average_reaches_objectives_and_may_be_what_is_kept():
    seen = []

    def objective(model, batch, services):
        seen.append((weights(services.ema).clone(), weights(model).clone()))
        return Squared()(model, batch, services)

    plain, kept, validated = model_of(), model_of(), []
    config = TrainConfig(**vars(CONFIG) | {"ema_decay": 0.5})
    train(learned(plain, objectives=[objective]), config, seed=0)
    averages, own = zip(*seen, strict=True)
    assert averages[0].equal(own[0])
    for before, after, moved in zip(averages, averages[1:], own[1:], strict=False):
        assert_close(after, (before + moved) / 2)
    keeping = TrainConfig(**vars(config) | {"keep_ema": True})
    train(learned(kept, objectives=[objective]), keeping, seed=0)
    assert_close(weights(kept), (averages[-1] + weights(plain)) / 2)
    best = model_of()
    watch = lambda: validated.append(weights(best).clone()) or -float(len(validated))  # type: ignore[func-returns-value]  # noqa: E731
    train(learned(best, objectives=[objective]), keeping, seed=0, validate=watch)
    assert_close(validated[0], averages[5]), "that of the first epoch's five steps"
    assert weights(best).equal(validated[0])


def test_keeping_an_average_that_is_not_made_is_refused():
    with pytest.raises(ConfigError, match="sasrec: train.keep_ema is true and train.ema_decay 0"):
        train(learned(), TrainConfig(keep_ema=True, device="cpu"), seed=0, name="sasrec")


GROWN = {
    "apollo": {
        "optimizer": "apollo",
        "optimizer_settings": {"rank": 2, "refresh_every": 3},
        "schedule": "cosine",
        "warmup_steps": 4,
    },
    "apollo_mini": {"optimizer": "apollo_mini", "schedule": "wsd", "ema_decay": 0.9, "keep_ema": True},
    "adamw": {"schedule": "inverse_sqrt", "warmup_steps": 2, "ema_decay": 0.5},
}


@pytest.mark.parametrize("way", GROWN)
def test_optimizers_schedules_and_averages_are_taken_up_in_the_same_bits(tmp_path, way):
    config = TrainConfig(**vars(CONFIG) | {"checkpoint_every_steps": 1} | GROWN[way])

    def towards_the_average(model, batch, services):
        losses = Squared(noise=0.1)(model, batch, services)
        if services.ema is not None:
            pull = (model(batch["x"]) - services.ema(batch["x"])).square().mean()
            losses["pull"] = Loss(pull, float(len(batch["x"])))
        return losses

    def run(stop_at, path):
        model = model_of()
        value = lambda: -float(weights(model).norm())  # noqa: E731
        model_and_rows = learned(model, Rows(stop_at=stop_at), [towards_the_average])
        return model, train(model_and_rows, config, seed=7, run="a", validate=value, checkpoint_path=path)

    straight, result = run(None, None)
    path = tmp_path / "checkpoint.safetensors"
    for stop_at in (4, 8):
        with pytest.raises(Stopped):
            run(stop_at, path)
    again, resumed = run(None, path)
    assert weights(again).equal(weights(straight))
    assert (resumed.curve, resumed.steps, resumed.best_value) == (result.curve, result.steps, result.best_value)


def test_the_global_stream_is_as_it_was():
    before = torch.random.get_rng_state()
    train(learned(), CONFIG, seed=0)
    assert torch.random.get_rng_state().equal(before)
    torch.rand(5)
    first, second = model_of(), model_of()
    train(learned(first), CONFIG, seed=0)
    torch.rand(5)
    train(learned(second), CONFIG, seed=0)
    assert weights(first).equal(weights(second)), "and what was drawn before makes no difference"


def test_a_missing_artifact_is_named():
    with pytest.raises(ConfigError, match="ranker needs the artifacts teacher, and has: log"):
        train(learned(needs=("teacher", "log")), CONFIG, seed=0, name="ranker", artifacts={"log": 1})


def test_artifacts_reach_the_objective():
    found = {}

    def objective(model, batch, services):
        found.update(services.artifacts)
        return Squared()(model, batch, services)

    train(learned(objectives=[objective], needs=("teacher",)), CONFIG, seed=0, artifacts={"teacher": 7})
    assert found == {"teacher": 7}


def test_steps_are_clipped():
    class Watched(Equal):
        def __init__(self, model):
            self.model, self.norms = model, []

        def after_step(self, reevaluate):
            self.norms.append(float(torch.cat([p.grad.flatten() for p in self.model.parameters()]).norm()))

    for clip, most in ((0.01, 0.0100001), (0.0, math.inf)):
        model = model_of()
        watched = Watched(model)
        train(learned(model), TrainConfig(epochs=1, clip_norm=clip, device="cpu"), seed=0, balancer=watched)
        assert (max(watched.norms) <= 0.0100001) == (most < 1)


def test_progress_is_told():
    told = []
    train(learned(), CONFIG, seed=0, name="sasrec", progress=lambda *what: told.append(what))
    assert [(what, done, total) for what, done, total, _ in told] == [("sasrec", n, 15) for n in range(1, 16)]
    assert told[-1][3].startswith("squared ")
    assert all(note.endswith(" batches/s") for _, _, _, note in told)


def test_each_step_has_draws_of_its_own():
    draws = []

    def objective(model, batch, services):
        draws.append((float(torch.rand(())), float(torch.rand((), generator=services.generator))))
        return Squared()(model, batch, services)

    objective.counts = Squared().counts  # type: ignore[attr-defined]
    train(learned(objectives=[objective]), TrainConfig(epochs=2, accumulate=2, device="cpu"), seed=0)
    assert len(draws) == 10
    assert len({own for own, _ in draws}) == len({own for _, own in draws}) == 10, "of each micro-batch as well"


def test_the_rate_may_come_from_a_law_for_a_run_as_long_as_this_one():
    law, steps = RateLawConfig(constant=0.4, beta=0.5, batch=8), CONFIG.epochs * 5
    by_law, by_hand = learned(), learned()
    train(by_law, replace(CONFIG, rate_law=law, schedule="cosine"), seed=0)
    train(by_hand, replace(CONFIG, learning_rate=0.4 * (steps * 8) ** -0.5, schedule="cosine"), seed=0)
    assert weights(by_law.module).equal(weights(by_hand.module))
