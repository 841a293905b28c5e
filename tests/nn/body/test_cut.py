"""What can't be cut is refused by name; that what is cut computes the same is seen in tests/train/parallel."""

import pytest

from headrace.contracts.errors import ConfigError
from headrace.nn.body.config import AdapterConfig, PatternConfig, RoutingConfig, TransformerConfig
from headrace.nn.body.cut import TOKENS, Elsewhere
from headrace.nn.body.transformer import Transformer
from headrace.nn.parallel.place import Place

BASE = {"dim": 24, "decoder_layers": 3, "heads": 6, "vocabulary": 11}


def decoder(**more):
    return Transformer(TransformerConfig(**{**BASE, **more}), "decoder")


@pytest.mark.parametrize(
    ("more", "place", "said"),
    [
        ({}, Place(0, 4), "heads is 6 and train.parallel.tensor is 4"),
        ({"kv_heads": 3}, Place(0, 2), "kv_heads is 3 and train.parallel.tensor is 2"),
        ({"hidden": 33}, Place(0, 2), "hidden is 33 and train.parallel.tensor is 2"),
        ({"vocabulary": 2}, Place(0, 3), "vocabulary is 2 and train.parallel.tensor is 3"),
        ({"adapters": (AdapterConfig(name="a"),)}, Place(0, 2), r"adapters is \('a',\) and train.parallel.tensor is 2"),
        ({"position": "gated"}, Place(0, 2), "position is gated and train.parallel.tensor is 2"),
        ({"pattern": PatternConfig(block=4, local=1, stride=2)}, Place(0, 2), "pattern is .* and train.parallel.tensor is 2"),
        ({}, Place(0, 1, 0, 4), "decoder_layers is 3 and train.parallel.pipeline is 4"),
        ({"routing": RoutingConfig(experts=2)}, Place(0, 1, 0, 2), "routing.experts is 2 and train.parallel.pipeline is 2"),
        ({"exits": (1,)}, Place(0, 1, 0, 2), r"exits is \(1,\) and train.parallel.pipeline is 2"),
        ({"cross": "standard"}, Place(0, 2), "cross is standard and train.parallel.tensor is 2"),
    ],
)
def test_what_cannot_be_cut_is_refused_by_both_keys(more, place, said):
    with pytest.raises(ConfigError, match=said):
        decoder(**more).cut(place)


def test_a_stage_keeps_the_names_of_one_process():
    whole = dict(decoder().named_parameters())
    stages = [decoder() for _ in range(2)]
    cuts = [body.cut(Place(0, 1, number, 2)) for number, body in enumerate(stages)]
    names = [{name for name, _ in body.named_parameters()} for body in stages]
    assert names[0] | names[1] == set(whole)
    assert names[0] & names[1] == {TOKENS}, "the embedding is the output too"
    assert cuts[0].shared == cuts[1].shared == {TOKENS: (0, 1)}
    assert [type(block) is Elsewhere for block in stages[1].stack.blocks] == [True, False, False]


def test_tensor_ranks_hold_what_pieces_say():
    whole = dict(decoder(norm_place="sub").named_parameters())
    for rank in range(3):
        body = decoder(norm_place="sub")
        cut = body.cut(Place(rank, 3))
        for name, own in body.named_parameters():
            expected = cut.pieces[name].of(whole[name], rank, 3).shape if name in cut.pieces else whole[name].shape
            assert own.shape == expected, name
