"""A local language model's adapter as a stage: trained once, found for ever after; and the model with it, as a folder of its own.

    read = causal("model.gguf")
    adapter = tune(Graph(Store(folder)), read, chats, SftConfig(), seed=0)     adapter/KEY/adapter_model.safetensors, …
    local("model.gguf", adapter=adapter.path)                                  or: export(read, adapter.path, Path("tuned"))

The key is of the base's digest, the chats, the settings and the seed. Killed, it goes on from its last checkpoint
(`train.checkpoint_every_steps`) to the same bits; the model that was read is left as it was.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from headrace.artifacts.atomic import writing
from headrace.artifacts.store import Artifact, Draft
from headrace.build.graph import Graph
from headrace.contracts.chat import Chat
from headrace.contracts.config import as_dict, digest
from headrace.contracts.errors import ArtifactError
from headrace.llm.causal import Causal, write
from headrace.llm.local import Local, LocalConfig, asked_of
from headrace.llm.lora import KIND, base_of, opened, store
from headrace.methods.align.sft import Sft, SftConfig
from headrace.train.trainer import train


def tune(
    graph: Graph, read: Causal, chats: Sequence[Chat], settings: SftConfig, *, seed: int = 0, name: str = "sft",
    validate: Callable[[Local], float] | None = None, validated_on: object = None,
) -> Artifact:  # fmt: skip
    """validate: of the model as it stands after an epoch, higher is better; validated_on: what that hangs on, part of the key."""
    said = digest([[[message.role, message.content] for message in chat] for chat in chats])
    config = {
        "method": "sft", "settings": as_dict(settings), "seed": seed, "base": base_of(read), "chats": said,
        "validated_on": None if validated_on is None else digest(validated_on),
    }  # fmt: skip
    checkpoint, run = graph.checkpoint(KIND, config, {}, Sft.revision)

    def make(draft: Draft) -> None:
        sft = Sft(settings, seed=seed)
        learned = sft.learn(read, chats)
        try:
            asked = asked_of(read, LocalConfig())
            trained = train(
                learned, settings.train, seed=seed, name=name, run=run, checkpoint_path=checkpoint, progress=graph.progress,
                validate=None if validate is None else lambda: validate(asked),
            )  # fmt: skip
            store(sft.adapter, draft.path, base_of(read))
        finally:
            sft.adapter.taken_off()
        draft.metrics = {
            "epochs": trained.epochs, "steps": trained.steps, "best_value": trained.best_value, "curve": trained.curve,
        }  # fmt: skip

    artifact = graph.stage(KIND, make, config=config, revision=Sft.revision, name=name)
    checkpoint.unlink(missing_ok=True)
    return artifact


def export(read: Causal, adapter: Path, folder: Path) -> None:
    """The model with the adapter in its weights: a folder of config, .safetensors and tokenizer, as transformers opens it.

    It changes `read`. folder: not there yet, or empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ArtifactError(f"{folder}: is not empty. Name a new folder for the merged model.")
    model = opened(read, adapter)[0].merged()
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            write(model, read.tokenizer, draft)
            draft.chmod(0o755)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
