"""Any encoder of Hugging Face as a reader: BERT, RoBERTa, DeBERTa, ModernBERT, the encoder of T5, from a folder or the hub.

Its last hidden states are a token's vector. Only .safetensors are read and no code of a repository is run. Stored are its weights
by their names, its config.json and its tokenizer.json: what was trained on it needs the library again, but not the folder.
Its ids are one more than its tokenizer's, as 0 says that nothing is there. An item begins with its [CLS] (or its begin of text,
or where it has neither its end) and ends with its [SEP] (or its end of text).
Cost and memory are the model's: train it on a GPU, or freeze it. The folder's name is all that a plan says of it, so weights
that changed under a name are not noticed: name the folder anew.
"""

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from headrace.contracts.errors import DataError
from headrace.encode.optional import optional
from headrace.encode.reading.published import PublishedPieces

if TYPE_CHECKING:
    from headrace.encode.reading.reader import ReaderConfig

_SHIFT = 1


class HuggingFace(nn.Module):
    """A `Body`. pad: what its tokenizer puts where nothing is; some count places by it. longest: tokens of a row, None: any."""

    def __init__(self, model: nn.Module, pad: int):
        super().__init__()
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # type: ignore[assignment]
        self.model, self.pad = model, pad
        settings: Any = model.config
        self.dim: int = settings.hidden_size
        most, before = getattr(settings, "max_position_embeddings", None), getattr(_embeddings(model), "padding_idx", None)
        self.longest: int | None = most if most is None or before is None else most - before - 1

    def forward(self, ids: Tensor, there: Tensor) -> Tensor:
        theirs = torch.where(ids > 0, ids - _SHIFT, self.pad)
        found: Tensor = self.model(input_ids=theirs, attention_mask=there.long()).last_hidden_state
        return found


def fitted(config: "ReaderConfig", texts: Sequence[str]) -> tuple[PublishedPieces, nn.Module, bytes]:
    library, safetensors = _library(), optional("safetensors", package="safetensors", extra="llm", purpose="Reading weights")
    with _quiet():
        try:
            tokenizer = library.AutoTokenizer.from_pretrained(config.name, trust_remote_code=False)
            model = library.AutoModel.from_pretrained(
                config.name, dtype="float32", use_safetensors=True, trust_remote_code=False, attn_implementation="eager"
            )
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            raise DataError(
                f'reader: "{config.name}" could not be read as an encoder of Hugging Face: {error} Name a folder with '
                'config.json, .safetensors and a tokenizer, or "owner/name" on the hub.'
            ) from None
    found = {
        "tokenizer": _text_of(tokenizer, config.name), "signs": _signs(tokenizer, config.name),
        "pad": tokenizer.pad_token_id or 0, "config": model.config.to_dict(),
    }  # fmt: skip
    body = HuggingFace(_encoder(model), found["pad"])
    return PublishedPieces(found["tokenizer"], found["signs"], _SHIFT), body, json.dumps(found, ensure_ascii=False).encode()


def shaped(config: "ReaderConfig", definition: bytes, shapes: Mapping[str, tuple[int, ...]]) -> tuple[PublishedPieces, nn.Module]:
    library, found = _library(), json.loads(definition)
    settings = library.AutoConfig.for_model(**found["config"])
    with _quiet():
        model = library.AutoModel.from_config(settings, trust_remote_code=False, attn_implementation="eager")
    return PublishedPieces(found["tokenizer"], found["signs"], _SHIFT), HuggingFace(_encoder(model), found["pad"])


def _library() -> Any:
    return optional("transformers", package="transformers", extra="llm", purpose="Reading texts with an encoder of Hugging Face")


def _encoder(model: Any) -> Any:
    return model.get_encoder() if model.config.is_encoder_decoder else model


def _embeddings(model: nn.Module) -> Any:
    return getattr(model, "embeddings", None)


def _text_of(tokenizer: Any, name: str) -> str:
    if not tokenizer.is_fast:
        raise DataError(f'reader: "{name}" has a tokenizer that no tokenizer.json can hold. Name a model with a fast tokenizer.')
    text: str = tokenizer.backend_tokenizer.to_str()
    return text


def _signs(tokenizer: Any, name: str) -> dict[str, int]:
    ends = [one for one in (tokenizer.sep_token_id, tokenizer.eos_token_id) if one is not None]
    if not ends:
        raise DataError(f'reader: the tokenizer of "{name}" has neither sep_token nor eos_token, with which an item ends.')
    starts = [one for one in (tokenizer.cls_token_id, tokenizer.bos_token_id) if one is not None] or ends
    return {"sos": starts[0] + _SHIFT, "bos": starts[-1] + _SHIFT, "eos": ends[0] + _SHIFT}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars: they are drawn whether or not anyone looks."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
