"""A world so small that a cycle of the wheel takes a second or two."""

TOML = """
seed = 0
[world]
users = 150
items = 200
topics = 8
days = 8
activity = 20.0
visits = 3.0
nearest = 30
popular = 15
uniform = 5
considered = 20
ctr = 0.15
[fly]
first_days = 6
days = 2
experiment_days = 1
replayed = 60
timed = 15
measured = false
[gates]
required = ["shadow"]
[gates.shadow]
least = 20
least_overlap = 0.0
most_failing = 1.0
[gates.offline]
margin = 0.9
[gates.style]
most_sd = 1000.0
[gates.off_policy]
margin = 100.0
[gates.experiment]
[retrieve]
use = ["popularity", "itemknn"]
k = 40
[rank]
use = "dcnv2"
learn_from = "impressions"
task = "click"
[rank.dcnv2]
loss = "pointwise"
item_dim = 4
feature_dim = 2
cross_layers = 1
hidden = [8]
[rank.dcnv2.train]
epochs = 2
[page]
seen_items = true
[page.explore]
slots = 4
[evaluate]
resamples = 100
"""
