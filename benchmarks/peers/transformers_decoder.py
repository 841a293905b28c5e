"""Hugging Face's GPT-2 and Llama of a given size: CPU seconds of a training step and of greedy generation. In its environment.

Called as `python -I transformers_decoder.py SETTINGS`; the last line printed is {model: {"train_s", "generate_s"}} as JSON.
"""

import json
import statistics
import sys
import time
from typing import Any

import torch
from transformers import (  # type: ignore[import-not-found,unused-ignore]
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.utils import logging  # type: ignore[import-not-found,unused-ignore]


def models(of: dict[str, Any]) -> dict[str, Any]:
    length = of["length"] + of["new"]
    gpt2 = GPT2Config(
        vocab_size=of["vocabulary"], n_positions=length, n_embd=of["dim"], n_layer=of["layers"], n_head=of["heads"],
        activation_function="gelu", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=None,
        attn_implementation="sdpa",
    )  # fmt: skip
    llama = LlamaConfig(
        vocab_size=of["vocabulary"], hidden_size=of["dim"], intermediate_size=of["swiglu"], num_hidden_layers=of["layers"],
        num_attention_heads=of["heads"], max_position_embeddings=length, tie_word_embeddings=True, bos_token_id=0,
        eos_token_id=None, pad_token_id=None, attn_implementation="sdpa",
    )  # fmt: skip
    return {"learned": GPT2LMHeadModel(gpt2), "rope": LlamaForCausalLM(llama)}


def main(of: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    logging.set_verbosity_error()
    ids = torch.randint(of["vocabulary"], (of["rows"], of["length"]))
    figures = {}
    for name, model in models(of).items():
        model.train()

        def step(model: Any = model) -> None:
            model.zero_grad()
            logits = model(input_ids=ids, use_cache=False).logits
            torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()

        steps = []
        for _ in range(of["steps"] + 1):
            started = time.process_time()
            step()
            steps.append(time.process_time() - started)
        train_s = statistics.median(steps[1:])
        model.eval()
        prompt = ids[:, : of["prompt"]]
        settings = {"do_sample": False, "use_cache": True, "attention_mask": torch.ones_like(prompt), "pad_token_id": 0}
        model.generate(prompt, max_new_tokens=2, **settings)
        started = time.process_time()
        found = model.generate(prompt, max_new_tokens=of["new"], min_new_tokens=of["new"], **settings)
        assert found.shape[1] == of["prompt"] + of["new"]
        figures[name] = {"train_s": train_s, "generate_s": time.process_time() - started}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
