"""The tiny model as one that was read from a file, each time anew: an adapter changes the model it is put on."""

from copy import deepcopy

import torch

from headrace.llm.causal import Causal
from headrace.llm.lora import LoraConfig, adapted
from tests.llm import tiny_llama


def tiny(digest="ab" * 32):
    return Causal(deepcopy(tiny_llama.model()), tiny_llama.tokenizer(), "tiny", digest)


def moved(read, settings=LoraConfig(rank=2), seed=0):  # noqa: B008 - frozen
    """With an adapter that was trained, or might have been: B is not 0 any more."""
    model = adapted(read.model, settings, seed=seed).eval()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, one in model.named_parameters():
            if "lora_B" in name:
                one.copy_(torch.randn(one.shape, generator=draw) * 0.1)
    return model


def logits(model, seed=1):
    ids = torch.randint(2, 200, (2, 9), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return model(input_ids=ids).logits
