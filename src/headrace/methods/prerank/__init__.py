"""Many candidates cut down to what the ranker can afford. Short names as a TOML uses them."""

PRERANKERS = {"two_tower": "headrace.methods.prerank.two_tower:TwoTower"}
PSEUDO_LABELERS = {
    "distil": "headrace.methods.prerank.distil:Distil",
    "gpl": "headrace.methods.prerank.gpl:GPL",
    "muda": "headrace.methods.prerank.muda:Muda",
    "ukd": "headrace.methods.prerank.ukd:UKD",
    "ukdsl": "headrace.methods.prerank.ukdsl:UKDSL",
    "unshown_negative": "headrace.methods.prerank.unshown_negative:UnshownNegative",
}
"""What is said of candidates nobody saw."""
