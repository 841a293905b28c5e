"""Many candidates cut down to what the ranker can afford. Short names as a TOML uses them."""

PRERANKERS = {"two_tower": "headrace.methods.prerank.two_tower:TwoTower"}
