from dataclasses import replace

import pytest
import torch
from torch import nn

from headrace.contracts.errors import ConfigError
from headrace.contracts.seams import Loss
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.nn.seeded import seeded
from headrace.train.recompute import recomputing
from headrace.train.trainer import train
from tests.train.small import CONFIG, learned, weights


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        of = TransformerConfig(dim=8, decoder_layers=2, heads=2, vocabulary=11, dropout=0.3, position="t5")
        with seeded(0, "body"):
            self.body = Transformer(of, "decoder")


class Tokens:
    def epoch(self, epoch):
        ids = torch.randint(11, (3, 4, 6), generator=torch.Generator().manual_seed(epoch))
        return [{"ids": batch} for batch in ids]


class Next:
    def __init__(self):
        self.seen = []

    def __call__(self, model, batch, services):
        self.seen.append(model.body.stack.recompute)
        logits = model.body.logits(model.body(Inputs(ids=batch["ids"])).last[:, :-1])
        return {"next": Loss(nn.functional.cross_entropy(logits.flatten(0, 1), batch["ids"][:, 1:].flatten()), 20.0)}


def test_a_run_ends_in_the_same_bits():
    ended = []
    for on in (False, True):
        model, objective = Body(), Next()
        train(learned(model, Tokens(), [objective]), replace(CONFIG, recompute=on), seed=0)
        assert objective.seen == [on] * 9
        assert model.body.stack.recompute is False, "afterwards it is as it was"
        ended.append(weights(model))
    assert ended[0].equal(ended[1])


def test_a_model_without_such_a_part_is_refused():
    with pytest.raises(ConfigError, match="lm: train.recompute is true, and no part of Sequential can run again"):
        train(learned(), replace(CONFIG, recompute=True), seed=0, name="lm")


def test_a_method_of_that_name_is_not_taken_for_one():
    class Other(nn.Module):
        def recompute(self):
            return self

    with pytest.raises(ConfigError, match="no part of Other"), recomputing(Other(), "lm", on=True):
        pass
