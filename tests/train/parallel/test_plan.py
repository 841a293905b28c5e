import gc
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis.strategies import integers, sampled_from

from headrace.contracts.errors import ConfigError
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.train.parallel.layouts import demanded, shape_of
from headrace.train.parallel.pipeline import Span, replayed
from headrace.train.parallel.plan import (
    Batch,
    Layout,
    Machine,
    Shape,
    bubble,
    held,
    layer_activations,
    memory,
    model_flop,
    stage_layers,
    stage_parameters,
    step_time,
)  # fmt: skip

MT_NLG = Shape(layers=105, dim=20_480, heads=128)
PUBLISHED = {2_240: (60.1, 126), 2_800: (50.2, 121), 3_360: (44.4, 113)}


def best(gpus, share=0.75):
    option = demanded(MT_NLG, gpus, rows=1_920, micro=1, recompute="auto", machine=Machine(share=share)).best
    assert option is not None
    return option


def test_the_published_shape_has_530_billion_parameters():
    assert MT_NLG.parameters == pytest.approx(530e9, rel=1e-3)


@pytest.mark.parametrize("gpus", PUBLISHED)
def test_published_times_and_rates_are_one_arithmetic(gpus):
    """TFLOP/s a GPU follow from the seconds, once the recomputed forward is counted: to half a TFLOP/s, as they are rounded."""
    seconds, tflops = PUBLISHED[gpus]
    batch = Batch(1_920, recompute=True)
    assert model_flop(MT_NLG, batch) / gpus / seconds / 1e12 == pytest.approx(tflops, abs=0.6)
    assert step_time(MT_NLG, Layout(8, 35, gpus // 280), batch, Machine()).seconds == pytest.approx(seconds, rel=0.03)


@pytest.mark.parametrize("gpus", PUBLISHED)
def test_the_published_layout_is_found(gpus):
    found = best(gpus)
    assert (found.layout, found.batch.recompute) == (Layout(8, 35, gpus // 280), True)


def test_how_much_memory_may_be_planned_decides_between_layouts():
    """What the choice hangs on is said in the documents: 35 stages from 53% to 76% of 80 GB."""
    found = {share: str(best(3_360, share).layout) for share in (0.5, 0.54, 0.76, 0.8)}
    assert found == {0.5: "8 x 105 x 4", 0.54: "8 x 35 x 12", 0.76: "8 x 35 x 12", 0.8: "8 x 105 x 4"}


@pytest.mark.parametrize("rope", [False, True])
@pytest.mark.parametrize("tie", [False, True])
def test_parameters_are_those_of_the_transformer(rope, tie):
    shape = Shape(layers=3, dim=16, heads=4, vocabulary=11, length=9, hidden=24, tie=tie, rope=rope)
    of = TransformerConfig(
        decoder_layers=3, dim=16, heads=4, vocabulary=11, length=9, hidden=24, tie=tie, position="rope" if rope else "learned"
    )
    assert shape.parameters == sum(one.numel() for one in Transformer(of, "decoder").parameters())


@given(stages=integers(1, 12), micro=integers(1, 30))
def test_the_bubble_is_what_a_clock_shows(stages, micro):
    """1F1B, each stage in its own order, chunks of one length: forward 1, backward 2."""
    assert bubble(stages, micro) == pytest.approx(
        replayed([one_forward_one_backward(stages, micro, stage) for stage in range(stages)])
    )


def one_forward_one_backward(stages, micro, stage):
    first = held(stages, micro, stage)
    order = [("forward", number) for number in range(first)]
    for number in range(micro):
        order.append(("backward", number))
        if first + number < micro:
            order.append(("forward", first + number))
    return [Span(kind, number, 1.0 if kind == "forward" else 2.0, 0.0, 0.0) for kind, number in order]


@given(layers=integers(1, 40), stages=integers(1, 12))
def test_stages_take_every_layer_once(layers, stages):
    taken = [layer for stage in range(stages) for layer in stage_layers(layers, stages, stage)]
    assert taken == list(range(layers))


@given(tensor=sampled_from([1, 2, 4]), pipeline=sampled_from([1, 2, 3, 6]))
def test_cutting_shares_memory_out(tensor, pipeline):
    """About 16 N / (t p) bytes a GPU; up to 5% more for what is not cut and the embedding on both ends."""
    shape, layout = Shape(layers=6, dim=1_024, heads=8, vocabulary=64, length=128), Layout(tensor, pipeline, 1)
    parts = memory(shape, layout, Batch(8), 0)
    kept = sum(parts[name] for name in ("weights", "gradients", "master weights", "Adam's moments"))
    assert kept == pytest.approx(16 * shape.parameters / (tensor * pipeline), rel=0.05)
    assert held(pipeline, 8, 0) == min(8, pipeline)


def test_recomputation_trades_memory_for_a_forward():
    shape, layout = Shape(layers=8, dim=512, heads=8, length=256), Layout(1, 2, 1)
    whole, again = (memory(shape, layout, Batch(8, recompute=one), 0)["activations"] for one in (False, True))
    assert again / whole == pytest.approx((4 * 2 + 16) / (4 * 2 * 16), rel=1e-3), "d a layer, and one layer of 16 d"
    assert layer_activations(shape, Layout(1, 1, 1)) == 16 * 512
    assert model_flop(shape, Batch(8, recompute=True)) > model_flop(shape, Batch(8))


def test_a_layer_keeps_what_is_counted():
    """Saved tensors of one layer, by storage, against the count; log-sum-exps and moments of norms are left out of it: 2%."""
    for position in ("learned", "rope"):
        of = TransformerConfig(decoder_layers=2, dim=64, heads=4, length=32, position=position)
        more = TransformerConfig(decoder_layers=3, dim=64, heads=4, length=32, position=position)
        shape = Shape(layers=2, dim=64, heads=4, length=32, rope=position == "rope")
        each = saved_numbers(more) - saved_numbers(of)
        assert each / 32 == pytest.approx(layer_activations(shape, Layout(1, 1, 1)), rel=0.02)


def saved_numbers(of):
    body, kept = Transformer(of, "decoder"), {}
    own = {one.untyped_storage().data_ptr() for one in body.parameters()}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = body(Inputs(vectors=torch.randn(1, 32, 64, requires_grad=True))).last
    assert out.requires_grad
    return sum(one.untyped_storage().nbytes() // 4 for place, one in kept.items() if place not in own and one.is_floating_point())


def test_a_layer_that_runs_again_keeps_its_input():
    """Of one layer more, all that Python holds after the forward: torch's checkpoints keep what they keep in its closures."""
    more, fewer = (alive_after_forward(layers) for layers in (3, 2))
    assert more - fewer == 32 * 64 * 4 + torch.get_rng_state().nbytes, "d numbers a token, and where draws stood"


def alive_after_forward(layers):
    of = TransformerConfig(decoder_layers=layers, dim=64, heads=4, length=32, position="learned")
    body = Transformer(of, "decoder")
    body.stack.recompute = True
    own = {one.untyped_storage().data_ptr() for one in body.parameters()}
    gc.collect()
    before = {id(one) for one in gc.get_objects() if issubclass(type(one), torch.Tensor)}
    out = body(Inputs(vectors=torch.randn(1, 32, 64, requires_grad=True))).last
    kept = [one for one in gc.get_objects() if issubclass(type(one), torch.Tensor) and id(one) not in before]
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in kept}
    assert out.requires_grad
    return sum(size for place, size in storages.items() if place not in own)


def test_shapes_are_inferred_in_one_proportion():
    shape = shape_of(530e9)
    assert (shape.layers, shape.dim, shape.heads) == (105, 20_480, 128)
    assert shape_of(7e9).dim % shape_of(7e9).heads == 0
    assert shape_of(1e9, layers=24).layers == 24


def test_what_cannot_work_says_why_and_what_would():
    least = r"layout of 8 GPUs needs is 1069.4 GB a GPU \(8 x 1 x 1\), and 60.0 GB of 80 GB may be planned. 280 GPUs would do"
    with pytest.raises(ConfigError, match=least):
        best(8)
    with pytest.raises(ConfigError, match="no layout of 3,361 GPUs is possible: .*equal stages.* GPUs would do"):
        best(3_361)
    with pytest.raises(ConfigError, match="No number of such GPUs would do: raise --batch, or take a smaller model"):
        demanded(shape_of(1e15), 50_000, rows=1_920, micro=1, recompute="auto", machine=Machine())
    with pytest.raises(ConfigError, match="At most 88 GPUs have something to do: raise --batch"):
        demanded(shape_of(1e9), 96, rows=1, micro=1, recompute="auto", machine=Machine())
    with pytest.raises(ConfigError, match=r"--params is 1e\+06, and 1 layers .* smaller --vocabulary"):
        shape_of(1e6)
    with pytest.raises(ConfigError, match="100 wide is no multiple of .* Give --heads"):
        shape_of(1e8, dim=100)


def test_a_plan_needs_no_torch():
    code = "import sys, headrace.train.parallel.layouts, headrace.cli.planning; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_ends_hold_the_embedding():
    shape = Shape(layers=4, dim=8, heads=2, vocabulary=10, length=4)
    first, last = (stage_parameters(shape, Layout(1, 2, 1), stage) for stage in (0, 1))
    assert first["embedding"] == 10 * 8 + 4 * 8
    assert last["output"] == 10 * 8 + 2 * 8
