"""Optimizers, schedules of the learning rate, and the law of its best value. Short names as a TOML uses them."""

OPTIMIZERS = {
    "adamw": "headrace.optim.makers:AdamW",
    "apollo": "headrace.optim.makers:Apollo",
    "apollo_mini": "headrace.optim.makers:ApolloMini",
    "rowwise": "headrace.optim.makers:RowWiseAdagrad",
}
