"""Low-rank adapters on a causal language model: trained beside it, stored without it, merged into it. All that knows PEFT.

    y = W x + (alpha / rank) B A x,       W stays, A is drawn, B = 0 at first

    model = adapted(read.model, LoraConfig(rank=8), seed=0)        only A and B learn; its state is theirs alone
    store(model, folder, base=base_of(read))                       adapter_model.safetensors, adapter_config.json
    model.taken_off()                                              read.model as it was

The two files are PEFT's own, so other tools read them; the folder is an artifact, whose manifest names the base. An adapter is
put on no other: its numbers would mean nothing there. Nothing pickled is written or read. Cost: rank (in + out) numbers a map.
Paper: Hu et al., LoRA, ICLR 2022 (arXiv 2106.09685), sections 4.1 and 4.2.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from headrace.artifacts.store import Artifact, open_artifact
from headrace.contracts.config import config
from headrace.contracts.errors import ArtifactError, ConfigError, listed
from headrace.encode.optional import optional
from headrace.llm.causal import Causal
from headrace.nn.seeded import seeded

KIND = "adapter"
"""Of the artifact."""
WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


@config
class LoraConfig:
    """alpha: the adapter's part counts alpha / rank times. dropout: of what goes into A. targets: names of linear maps, such as
    q_proj; all but the output's where none is named."""

    rank: Annotated[int, Gt(0)] = 8
    alpha: Annotated[float, Gt(0)] = 16.0
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.05
    targets: tuple[str, ...] = ()


class Adapted(nn.Module):
    """A model with its adapter, as `Learned` wants it: what is saved, loaded and averaged is the adapter alone."""

    def __init__(self, whole: Any):
        super().__init__()
        self.whole = whole
        self.own = frozenset(f"whole.{name}" for name, one in whole.named_parameters() if one.requires_grad)
        self.register_state_dict_post_hook(_without_base)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_base_stays)  # type: ignore[no-untyped-call]

    @property
    def model(self) -> Any:
        """As transformers has it, the adapter in its maps."""
        return self.whole.get_base_model()

    def forward(self, ids: Tensor, positions: Tensor, documents: Tensor, wanted: Tensor) -> Tensor:
        """[B, T] each; logits [N, V] where wanted. Tokens see those before them in their own document."""
        kept, mask = wanted.any(0).nonzero()[:, 0], _apart(documents, self.model.dtype)
        logits: Tensor = self.whole(
            input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False, logits_to_keep=kept
        ).logits
        return logits[wanted[:, kept]]

    def taken_off(self) -> Any:
        """The model without the adapter, whose weights were never touched."""
        return self.whole.unload().requires_grad_(True)

    def merged(self) -> Any:
        """The model with W + (alpha / rank) B A in place of W: it changes what it was given."""
        return self.whole.merge_and_unload().requires_grad_(True)


def adapted(model: Any, settings: LoraConfig, *, seed: int) -> Adapted:
    """The model's own maps are replaced in place until the adapter is taken off. ConfigError for a target it doesn't have."""
    targets: Any = list(settings.targets) or "all-linear"
    asked = _peft().LoraConfig(
        task_type="CAUSAL_LM", r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=targets
    )
    _refuse_targets(model, settings.targets)
    with seeded(seed, "lora"):
        return Adapted(_wrapped(model, asked))


def base_of(read: Causal) -> dict[str, str]:
    """What stands of the base in an adapter's manifest."""
    return {"name": read.name, "digest": read.digest}


def store(model: Adapted, folder: Path, base: Mapping[str, str]) -> None:
    weights = _peft().get_peft_model_state_dict(model.whole)
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, folder / WEIGHTS)
    settings = model.whole.peft_config["default"]
    settings.base_model_name_or_path = base["name"]  # not the place it was read from
    settings.inference_mode = True
    settings.save_pretrained(str(folder))


def opened(read: Causal, folder: Path) -> tuple[Adapted, Artifact]:
    """The stored adapter on its base. ArtifactError where it is another's, or none."""
    artifact = open_artifact(folder)
    if artifact.manifest.kind != KIND:
        raise ArtifactError(f'{folder}: expected an adapter, and it is a "{artifact.manifest.kind}".')
    base = artifact.manifest.config["base"]
    if base["digest"] != read.digest:
        raise ArtifactError(
            f"{folder}: an adapter of {base['name']} ({base['digest'][:16]}), and this is {read.name} ({read.digest[:16]}). "
            "Open the model it was trained on."
        )
    weights = load_file(folder / WEIGHTS)
    settings = _peft().PeftConfig.from_pretrained(str(folder))
    settings.base_model_name_or_path = None
    whole = _wrapped(read.model, settings)
    _peft().set_peft_model_state_dict(whole, weights)
    return Adapted(whole).eval(), artifact


def _wrapped(model: Any, settings: Any) -> Any:
    if any(hasattr(module, "lora_A") for module in model.modules()):
        raise ConfigError("this model has an adapter on it. Take that off first, or read the model anew.")
    with warnings.catch_warnings():  # it asks transformers for something by a name that is to go
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        return _peft().get_peft_model(model, settings)


def _apart(documents: Tensor, dtype: torch.dtype) -> Tensor:
    """[B, 1, T, T], added to attention's logits: a token sees itself and those before it of its document."""
    length = documents.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    seen = (documents[:, :, None] == documents[:, None, :]) & earlier
    hidden = torch.zeros(seen.shape, dtype=dtype, device=documents.device).masked_fill(~seen, torch.finfo(dtype).min)
    return hidden[:, None]


def _refuse_targets(model: Any, targets: tuple[str, ...]) -> None:
    linear = {name.rpartition(".")[2]: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    head = {name for name, module in linear.items() if module is model.get_output_embeddings()}
    there = sorted(linear.keys() - head)
    wrong = [name for name in targets if name not in there]
    if wrong:
        raise ConfigError(f"lora.targets: {listed(wrong)} can't have an adapter. This model's linear maps: {listed(there)}.")


def _without_base(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    assert isinstance(module, Adapted)
    for name in [name for name in state if name.startswith(prefix) and name.removeprefix(prefix) not in module.own]:
        del state[name]


def _base_stays(module: nn.Module, keys: Any) -> None:
    """Names have those of the modules around it in front, and may be those modules' own."""
    assert isinstance(module, Adapted)
    missing = [(name, name.find("whole.")) for name in keys.missing_keys]
    keys.missing_keys[:] = [name for name, place in missing if place < 0 or name[place:] in module.own]


def _peft() -> Any:
    return optional("peft", package="peft", extra="llm", purpose="An adapter on a language model")
