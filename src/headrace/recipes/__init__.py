"""One file a paper: what is trained on what, against which baseline, and the claim it must meet. Fixed before the run.

`rows` and `logs` hold what several of them learn from.
"""

RECIPES = {
    "apollo": "headrace.recipes.apollo",
    "cascade_bias": "headrace.recipes.cascade_bias",
    "character_flywheel": "headrace.recipes.character_flywheel",
    "embsum": "headrace.recipes.embsum",
    "gpl": "headrace.recipes.gpl",
    "hisac": "headrace.recipes.hisac",
    "lex": "headrace.recipes.lex",
    "lfm4ads": "headrace.recipes.lfm4ads",
    "liger": "headrace.recipes.liger",
    "lr_law": "headrace.recipes.lr_law",
    "lspr": "headrace.recipes.lspr",
    "magneto": "headrace.recipes.magneto",
    "marigold": "headrace.recipes.marigold",
    "mender": "headrace.recipes.mender",
    "mt_nlg": "headrace.recipes.mt_nlg",
    "multibalance": "headrace.recipes.multibalance",
    "s2_attention": "headrace.recipes.s2_attention",
    "sasrec": "headrace.recipes.sasrec",
    "sft": "headrace.recipes.sft",
    "spar": "headrace.recipes.spar",
    "tiger": "headrace.recipes.tiger",
    "torchscale": "headrace.recipes.torchscale",
    "ukdsl": "headrace.recipes.ukdsl",
    "xmoe": "headrace.recipes.xmoe",
}
