"""The tiny model with an adapter that was trained, or might have been."""

import torch

from headrace.llm.lora import LoraConfig, adapted

RANK_2 = LoraConfig(rank=2)


def moved(read, settings=RANK_2, seed=0):
    """B is not 0 any more."""
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
