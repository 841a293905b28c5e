"""SASRec: a full softmax against one sampled negative, beside the simplest baselines, ties in time treated three ways.

The paper trains with one negative and binary cross-entropy; its successors' gains over that are partly the loss's. The claim here
is about the loss. Last-item Markov, ItemKNN and EASE stand beside it because on small logs they are hard to beat, and the
file-order protocol stands beside the tie-safe one because published figures on tied data partly measure the file's order.
"""

from headrace.data.holdouts import GlobalTemporal, LeaveLast
from headrace.recipes.arms import Arm, Retrieval
from headrace.recipes.claims import Claim
from headrace.recipes.protocol import Budget

CLAIM = Claim(
    says="Full softmax ranks the next item better than one sampled negative.",
    published="with cross-entropy over all items SASRec beats its binary form on each data set (Klenitskiy and Vasilev, 2023)",
    metric="ndcg@10",
    better="softmax",
    than="one_negative",
    protocol="leave-last",
    margin=0.0,
)
BASELINES = {"popularity": Arm("popularity"), "markov": Arm("markov"), "itemknn": Arm("itemknn"), "ease": Arm("ease")}
LOSSES = ("one_negative", "softmax")
# Both losses get the same two trials on validation: dropout decides most on a log this small.
TRIALS = ({"dropout": 0.2}, {"dropout": 0.5})


def work(budget: Budget) -> Retrieval:
    if budget == "smoke":
        tiny = {"dim": 16, "layers": 1, "heads": 1, "length": 10, "batch_size": 32}
        train = {"epochs": 3, "learning_rate": 0.01}
        return Retrieval(
            data="ring",
            arms={
                **BASELINES,
                **{loss: Arm("sasrec", {**tiny, "loss": loss, "train": train}, learned=True) for loss in LOSSES},
            },
            splits={"leave-last": LeaveLast(), "global temporal": GlobalTemporal()},
            seeds=2,
            metrics=("ndcg@10", "recall@10"),
        )
    train = {"epochs": 60 if budget == "cpu" else 200, "patience": 5}
    learned = {loss: Arm("sasrec", {"loss": loss, "train": train}, TRIALS, learned=True) for loss in LOSSES}
    return Retrieval(
        data="movielens-100k",
        arms={**BASELINES, **learned},
        splits={
            "leave-last": LeaveLast(),
            "leave-last, file order": LeaveLast(ties="file_order"),
            "global temporal": GlobalTemporal(),
        },
        seeds=5,
        metrics=("ndcg@10", "recall@10"),
    )
