"""A random Llama of 2 layers with a byte-level tokenizer that knows a few merges and a chat template: all that a real one has.

    read = tiny()        as if read from a file (`llm.causal`), each time anew: an adapter changes the model it is put on

It says nothing of sense. Use it where a test, a page or a smoke run needs a model whose every step can be checked, in no time.
"""

from copy import deepcopy
from functools import cache
from typing import Any

from headrace.encode.optional import optional
from headrace.llm.causal import Causal, transformers
from headrace.nn.seeded import seeded

TEMPLATE = (
    "{% for m in messages %}<|in|>{{ m['role'] }}\n{{ m['content'] }}<|out|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|in|>assistant\n{% endif %}"
)
MERGES = [("Ċ", "Ċ"), ("t", "e"), ("te", "a"), ("Ġ", "tea"), ("h", "o"), ("ho", "t"), ("Ġ", "hot"), ("e", "s")]
CONTEXT = 256


def tiny(digest: str = "ab" * 32) -> Causal:
    return Causal(deepcopy(model()), tokenizer(), "tiny", digest)


@cache
def tokenizer() -> Any:
    library = optional("tokenizers", package="tokenizers", extra="llm", purpose="A tokenizer made here")
    byte_level = library.pre_tokenizers.ByteLevel
    words = ["<|in|>", "<|out|>", *sorted(byte_level.alphabet()), *("".join(pair) for pair in MERGES)]
    made = library.Tokenizer(library.models.BPE(vocab={word: place for place, word in enumerate(words)}, merges=MERGES))
    made.pre_tokenizer = byte_level(add_prefix_space=False)
    made.decoder = library.decoders.ByteLevel()
    return transformers().PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<|in|>", eos_token="<|out|>", additional_special_tokens=[], chat_template=TEMPLATE
    )


@cache
def model() -> Any:
    settings = transformers().LlamaConfig(
        vocab_size=len(tokenizer()), num_hidden_layers=2, max_position_embeddings=CONTEXT, bos_token_id=0, eos_token_id=1,
        initializer_range=0.3,
        hidden_size=32, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    with seeded(0, "tiny llama"):
        return transformers().LlamaForCausalLM(settings).eval()
