"""One file a paper: what is trained on what, against which baseline, and the claim it must meet. Fixed before the run."""

RECIPES = {"sasrec": "headrace.recipes.sasrec"}
