import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.balance.equal import Equal
from headrace.contracts.errors import ConfigError, HeadraceError
from headrace.contracts.seams import Loss, Stream
from headrace.contracts.training import TrainConfig
from headrace.train.streams import Rounds
from headrace.train.trainer import train
from tests.train.small import CONFIG, Rows, Squared, Stopped, learned, model_of, weights


class Seen(Squared):
    """Remembers the batches it was given."""

    def __init__(self, name, noise=0.0):
        super().__init__(noise, name)
        self.batches = []

    def __call__(self, model, batch, services):
        self.batches.append(batch["y"].tolist())
        return super().__call__(model, batch, services)


def other_rows(sizes=(2, 3, 1)):
    rows = Rows(sizes)
    rows.y = rows.y + 10.0
    return rows


def stream(name="text", rows=None, *objectives):
    return Stream(name, objectives or [Squared(noise=0.2, name=name)], rows or other_rows())


def in_order(rows, epochs):
    return [
        batch["y"].tolist() for epoch in range(epochs) for batch in map(rows.epoch(epoch).__getitem__, range(len(rows.sizes)))
    ]


def test_a_stream_goes_round_and_round_beside_the_main_batches():
    main, own = Seen("main"), Seen("text")
    result = train(learned(objectives=[main], streams=[stream("text", None, own)]), CONFIG, seed=0)
    assert main.batches == in_order(Rows(), 3)
    assert own.batches == in_order(other_rows(), 5), "15 batches of theirs, in epochs of 3, each in its own order"
    assert result.steps == 15
    assert all(entry.keys() == {"main", "text"} for entry in result.curve)


def test_a_stream_of_weight_0_changes_nothing():
    plain, beside = model_of(), model_of()
    train(learned(plain), CONFIG, seed=7)
    train(learned(beside, streams=[stream()], weights={"text": 0.0}), CONFIG, seed=7)
    assert weights(beside).equal(weights(plain)), "and it draws after the main batch"
    train(learned(beside, streams=[stream()]), CONFIG, seed=7)
    assert not weights(beside).equal(weights(plain))


def test_the_step_descends_all_of_them_at_once():
    """As one objective of two batches would, with its weights."""

    class Both:
        def __call__(self, model, batch, services):
            one, two = ({"x": batch[f"x{of}"], "y": batch[f"y{of}"]} for of in (1, 2))
            return Squared(name="a")(model, one, services) | Squared(name="b")(model, two, services)

    class Pairs:
        def epoch(self, epoch):
            main, own = Rows().epoch(epoch), other_rows((4, 1, 2, 3, 5)).epoch(epoch)
            batches = [{"x1": main[i]["x"], "y1": main[i]["y"], "x2": own[i]["x"], "y2": own[i]["y"]} for i in range(5)]
            return [{name: values.double() for name, values in batch.items()} for batch in batches]

    apart, together = model_of(0.0).double(), model_of(0.0).double()
    main, own = Rows(), other_rows((4, 1, 2, 3, 5))
    for rows in (main, own):
        rows.x, rows.y = rows.x.double(), rows.y.double()
    given = {"weights": {"b": 3.0}}
    train(learned(apart, main, [Squared(name="a")], streams=[stream("t", own, Squared(name="b"))], **given), CONFIG, seed=0)
    train(learned(together, Pairs(), [Both()], **given), CONFIG, seed=0)
    assert_close(weights(apart), weights(together), rtol=1e-12, atol=1e-12)


def test_all_losses_of_a_micro_batch_go_through_the_balancer_at_once():
    class Watched(Equal):
        def __init__(self):
            self.given, self.shared, self.again, self.after = [], [], [], []

        def backward(self, losses, shared, reevaluate):
            self.given.append({name: float(loss.detach()) for name, loss in losses.items()})
            self.shared.append(shared)
            self.again.append(reevaluate())
            return super().backward(losses, shared, reevaluate)

        def after_step(self, reevaluate):
            self.after.append(reevaluate().keys())

    class Sharing(Squared):
        def __call__(self, model, batch, services):
            loss = super().__call__(model, batch, services)[self.name]
            return {self.name: replace(loss, shared=loss.mean)}

    balancer = Watched()
    train(
        learned(objectives=[Sharing(name="a", noise=0.1)], streams=[stream("b"), stream("c")]), CONFIG, seed=0, balancer=balancer
    )
    assert [given.keys() for given in balancer.given] == [{"a", "b", "c"}] * 15
    assert balancer.again == balancer.given, "the same batches of all streams, the same draws"
    assert balancer.after == [{"a", "b", "c"}] * 15
    assert balancer.shared == [None] * 15, "losses of other batches have no tensor in common"


def test_micro_batches_of_streams_add_up():
    """Each loss is a mean over its own count in the whole step."""

    def run(accumulate, sizes, own_sizes):
        model, rows, own = model_of(0.0).double(), Rows(sizes), other_rows(own_sizes)
        for one in (rows, own):
            one.x, one.y = one.x.double(), one.y.double()
        config = TrainConfig(epochs=4, learning_rate=0.05, accumulate=accumulate, device="cpu")
        result = train(learned(model, rows, [Squared(name="a")], streams=[stream("b", own, Squared(name="b"))]), config, seed=0)
        return weights(model), result.curve

    micro, of_micro = run(5, (3, 1, 4, 2, 2), (1, 2, 1, 2, 5))
    whole, of_whole = run(1, (12,), (11,))
    assert_close(micro, whole, rtol=1e-9, atol=1e-9)
    assert of_micro == [pytest.approx(entry) for entry in of_whole]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("stop_at", [1, 4, 7, 13])
def test_a_run_taken_up_again_reads_on_where_each_stream_stood(tmp_path, stop_at, accumulate):
    config = replace(CONFIG, checkpoint_every_steps=1, accumulate=accumulate)

    def run(stop_at, path):
        model = model_of()
        streams = [stream("text"), stream("bits", Rows((5, 1)))]
        return model, train(learned(model, Rows(stop_at=stop_at), streams=streams), config, seed=7, checkpoint_path=path)

    straight, result = run(None, None)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stopped):
        run(stop_at, path)
    again, resumed = run(None, path)
    assert weights(again).equal(weights(straight))
    assert resumed.curve == result.curve


def test_a_loss_named_twice_is_refused_by_name():
    two = [stream("text", None, Squared(name="same"))]
    with pytest.raises(ConfigError, match="lm: two objectives give a loss named same, the second is Squared"):
        train(learned(objectives=[Squared(name="same")], streams=two), CONFIG, seed=0, name="lm")
    with pytest.raises(ConfigError, match="two objectives give a loss named squared"):
        train(learned(objectives=[Squared(), Squared()]), CONFIG, seed=0)


def test_streams_named_alike_and_empty_ones_are_refused_by_name():
    with pytest.raises(ConfigError, match="lm: two streams are named text"):
        Rounds([stream(), stream()], "lm")
    with pytest.raises(ConfigError, match="lm: epoch 0 of stream text has no batches"):
        train(learned(streams=[stream("text", Rows(()))]), CONFIG, seed=0, name="lm")


def test_what_cannot_be_cut_is_refused_in_streams_too():
    def uncounted(model, batch, services):
        return {"u": Squared()(model, batch, services)["squared"]}

    with pytest.raises(ConfigError, match=r"function has no counts\(batch\)"):
        train(learned(streams=[stream("text", None, uncounted)]), replace(CONFIG, accumulate=2), seed=0)


def test_a_loss_of_a_stream_that_is_not_finite_is_named_and_the_last_good_checkpoint_stays(tmp_path):
    class Cliff(Squared):
        calls = 0

        def __call__(self, model, batch, services):
            loss = super().__call__(model, batch, services)[self.name]
            self.calls += 1
            return {self.name: Loss(loss.mean * (math.inf if self.calls > 3 else 1.0), loss.count)}

    path, config = tmp_path / "checkpoint.safetensors", replace(CONFIG, checkpoint_every_steps=2)
    with pytest.raises(HeadraceError) as error:
        train(learned(streams=[stream("text", None, Cliff(name="text"))]), config, seed=0, name="lm", checkpoint_path=path)
    said = str(error.value)
    assert "lm: text became inf, the gradient's norm became " in said
    assert "at step 3. The largest gradient is that of " in said
    assert said.endswith(f"{path} holds the run as it stood after step 2.")
    again, straight = model_of(), model_of()
    for model, where in ((again, path), (straight, None)):
        train(learned(model, streams=[stream("text", None, Squared(name="text"))]), config, seed=0, checkpoint_path=where)
    assert weights(again).equal(weights(straight))


def test_places_go_round():
    class One:
        def epoch(self, epoch):
            return [{"epoch": torch.tensor(epoch)}]

    places = {"b": [4, 0]}
    rounds = Rounds([Stream("a", [], One()), Stream("b", [], One())], "lm")
    read = [[int(batch["epoch"]) for batch in rounds.next(places)] for _ in range(3)]
    assert read == [[0, 4], [1, 5], [2, 6]]
    assert places == {"a": [2, 1], "b": [6, 1]}
