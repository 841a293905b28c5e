"""A random Llama of 2 layers with a byte-level tokenizer that knows a few merges and a chat template."""

from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = (
    "{% for m in messages %}<|in|>{{ m['role'] }}\n{{ m['content'] }}<|out|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|in|>assistant\n{% endif %}"
)
MERGES = [("Ċ", "Ċ"), ("t", "e"), ("te", "a"), ("Ġ", "tea"), ("h", "o"), ("ho", "t"), ("Ġ", "hot"), ("e", "s")]
CONTEXT = 256


@cache
def tokenizer() -> Any:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<|in|>", "<|out|>", *letters, *("".join(pair) for pair in MERGES)]
    made = Tokenizer(models.BPE(vocab={word: place for place, word in enumerate(words)}, merges=MERGES))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<|in|>", eos_token="<|out|>", additional_special_tokens=[], chat_template=TEMPLATE
    )


@cache
def model() -> Any:
    settings = LlamaConfig(
        vocab_size=len(tokenizer()), num_hidden_layers=2, max_position_embeddings=CONTEXT, bos_token_id=0, eos_token_id=1,
        initializer_range=0.3,
        hidden_size=32, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    torch.manual_seed(0)
    return LlamaForCausalLM(settings).eval()
