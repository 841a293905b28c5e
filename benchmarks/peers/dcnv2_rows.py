"""A peer's DCNv2 on rows of codes: CPU and wall seconds of one epoch over prepared batches, of its own loader, and its chances.

Full-rank crosses beside a tower, no dropout, no regularisation, Adam at its defaults; what else a library adds stays: FuxiCTR
clips at 10, torch-rechub has batch norm in its tower. FuxiCTR's wheel has this model for sequences alone, so its parts are put
together here as there: FeatureEmbedding, CrossNetV2 beside MLP_Block. Each trains by its own trainer's loop, which is handed
batches that are ready; its own loader, shuffled, is timed apart, over `load_rows` rows. INPUT holds codes [n, F], label [n] and
test [m, F]; OUTPUT gets chances [m]. Runs in the peer's environment.
"""

import json
import sys
import tempfile
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402

Run = tuple[Callable[[], Any], Callable[[], Iterable[Any]], Callable[[Any], Any], int]
"""Its epoch over prepared batches, its own loader over the first rows, the chances of some codes, and its parameters."""


class Ready(list[Any]):
    """Batches in memory, with the length a loop over a loader may ask for."""


def of_deepctr(codes: Any, label: Any, asked: dict[str, Any]) -> Run:
    from deepctr_torch.inputs import SparseFeat  # type: ignore[import-not-found]
    from deepctr_torch.models import DCN, basemodel  # type: ignore[import-not-found]

    columns = [SparseFeat(f"f{i}", size, embedding_dim=asked["dim"]) for i, size in enumerate(asked["sizes"])]
    model = DCN(
        [], columns, cross_num=asked["cross_layers"], cross_parameterization="matrix", dnn_hidden_units=asked["hidden"],
        l2_reg_linear=0, l2_reg_embedding=0, l2_reg_cross=0, seed=asked["seed"],
    )  # fmt: skip
    model.compile(torch.optim.Adam(model.parameters(), asked["learning_rate"]), "binary_crossentropy", [])
    whole = torch.utils.data.TensorDataset(torch.from_numpy(codes), torch.from_numpy(label))
    prepared = Ready(zip(whole.tensors[0].split(asked["batch"]), whole.tensors[1].split(asked["batch"]), strict=True))
    features = {column.name: codes[:, i] for i, column in enumerate(columns)}

    def epoch() -> None:
        loader, basemodel.DataLoader = basemodel.DataLoader, lambda **given: prepared
        model.fit(dict(features), label, batch_size=asked["batch"], epochs=1, verbose=0, shuffle=False)
        basemodel.DataLoader = loader

    def loader() -> Iterable[Any]:
        some = torch.utils.data.Subset(whole, range(asked["load_rows"]))
        return torch.utils.data.DataLoader(some, shuffle=True, batch_size=asked["batch"])

    def chances(some: Any) -> Any:
        with torch.no_grad():
            return model.eval()(torch.from_numpy(some).float()).squeeze(1)

    return epoch, loader, chances, count(model)


def of_rechub(codes: Any, label: Any, asked: dict[str, Any]) -> Run:
    from torch_rechub.basic.features import SparseFeature  # type: ignore[import-not-found]
    from torch_rechub.models.ranking import DCNv2  # type: ignore[import-not-found]
    from torch_rechub.trainers import CTRTrainer  # type: ignore[import-not-found]
    from torch_rechub.utils.data import DataGenerator  # type: ignore[import-not-found]

    torch.manual_seed(asked["seed"])
    features = [SparseFeature(f"f{i}", size, embed_dim=asked["dim"]) for i, size in enumerate(asked["sizes"])]
    tower = {"dims": asked["hidden"], "dropout": 0.0, "activation": "relu"}
    model = DCNv2(features, asked["cross_layers"], tower, use_low_rank_mixture=False)
    rate = {"lr": asked["learning_rate"]}
    trainer = CTRTrainer(model, optimizer_params=rate, n_epoch=1, device="cpu")
    named = lambda some: {f"f{i}": some[:, i] for i in range(some.shape[1])}  # noqa: E731
    whole = zip(torch.from_numpy(codes).split(asked["batch"]), torch.from_numpy(label).split(asked["batch"]), strict=True)
    prepared = Ready(({name: one.contiguous() for name, one in named(x).items()}, y) for x, y in whole)

    def loader() -> Iterable[Any]:
        n = asked["load_rows"]
        made = DataGenerator(named(codes[:n]), label[:n])
        nothing: Any = (named(codes[:1]), label[:1])
        first: Iterable[Any] = made.generate_dataloader(*nothing, *nothing, batch_size=asked["batch"])[0]
        return first

    def chances(some: Any) -> Any:
        with torch.no_grad():
            return model.eval()(named(torch.from_numpy(some)))

    return lambda: trainer.train_one_epoch(prepared), loader, chances, count(model)


def of_fuxictr(codes: Any, label: Any, asked: dict[str, Any]) -> Run:
    from fuxictr.features import FeatureMap  # type: ignore[import-not-found]
    from fuxictr.pytorch.dataloaders.npz_dataloader import NpzDataLoader  # type: ignore[import-not-found]
    from fuxictr.pytorch.layers import CrossNetV2, FeatureEmbedding, MLP_Block  # type: ignore[import-not-found]
    from fuxictr.pytorch.models import BaseModel  # type: ignore[import-not-found]

    class DCNv2(BaseModel):  # type: ignore[misc]
        def __init__(self, feature_map: Any) -> None:
            super().__init__(feature_map, verbose=0, model_root="", metrics=["AUC"])
            width = feature_map.sum_emb_out_dim()
            self.embedding_layer = FeatureEmbedding(feature_map, asked["dim"])
            self.crossnet = CrossNetV2(width, asked["cross_layers"])
            self.parallel_dnn = MLP_Block(input_dim=width, hidden_units=asked["hidden"])
            self.fc = torch.nn.Linear(width + asked["hidden"][-1], 1)
            self.compile("adam", "binary_crossentropy", asked["learning_rate"])
            self.reset_parameters()
            self.model_to_device()

        def forward(self, inputs: Any) -> dict[str, Any]:
            x = self.embedding_layer(self.get_inputs(inputs), flatten_emb=True)
            both = torch.cat([self.crossnet(x), self.parallel_dnn(x)], dim=-1)
            return {"y_pred": self.output_activation(self.fc(both))}

    torch.manual_seed(asked["seed"])
    known = FeatureMap("rows", "")
    known.features = OrderedDict(
        (f"f{i}", {"source": "", "type": "categorical", "vocab_size": size}) for i, size in enumerate(asked["sizes"])
    )
    known.labels, known.default_emb_dim = ["label"], asked["dim"]
    known.num_fields = known.get_num_fields()
    known.set_column_index()
    model = DCNv2(known)
    model._max_gradient_norm, model._eval_steps, model._total_steps = 10.0, sys.maxsize, 0  # as fit has it, without evaluation
    model._stop_training = False
    named = lambda some: {f"f{i}": some[:, i] for i in range(some.shape[1])}  # noqa: E731
    whole = zip(torch.from_numpy(codes).split(asked["batch"]), torch.from_numpy(label).split(asked["batch"]), strict=True)
    prepared = Ready({**{name: one.contiguous() for name, one in named(x).items()}, "label": y} for x, y in whole)

    def loader() -> Iterable[Any]:
        n = asked["load_rows"]
        path = Path(tempfile.mkdtemp()) / "rows.npz"
        np.savez(path, label=label[:n], **named(codes[:n]))
        made: Iterable[Any] = NpzDataLoader(known, str(path), batch_size=asked["batch"], shuffle=True, num_workers=0)
        return made

    def chances(some: Any) -> Any:
        with torch.no_grad():
            return model.eval()(named(torch.from_numpy(some)))["y_pred"].squeeze(1)

    return lambda: model.train_epoch(prepared), loader, chances, count(model)


def count(model: Any) -> int:
    return sum(one.numel() for one in model.parameters())


def main() -> None:
    given, found, settings = sys.argv[1:]
    asked = json.loads(settings)
    torch.set_num_threads(asked["threads"])
    with np.load(given) as arrays:
        codes, label, test = (arrays[name] for name in ("codes", "label", "test"))
    make = {"deepctr-torch": of_deepctr, "torch-rechub": of_rechub, "fuxictr": of_fuxictr}[asked["library"]]
    epoch, loader, chances, parameters = make(codes, label, asked)
    cpu, wall = time.process_time(), time.perf_counter()
    epoch()
    figures = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "parameters": parameters}
    batches = loader()
    cpu = time.process_time()
    for _ in batches:
        pass
    figures["load_cpu_s"] = time.process_time() - cpu
    np.savez(found, chances=torch.cat([chances(part) for part in np.split(test, range(8192, len(test), 8192))]).numpy())
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
