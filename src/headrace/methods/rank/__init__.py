"""Candidates ordered with all that is known. Short names as a TOML uses them."""

RANKERS = {
    "centres": "headrace.methods.rank.centres:Centres",
    "dcnv2": "headrace.methods.rank.dcnv2:DCNv2",
    "din": "headrace.methods.rank.din:DIN",
    "dlrm": "headrace.methods.rank.dlrm:DLRM",
    "embsum": "headrace.methods.rank.embsum:EmbSum",
    "esmm": "headrace.methods.rank.esmm:ESMM",
    "eta": "headrace.methods.rank.eta:ETA",
    "foundation": "headrace.methods.rank.foundation:FoundationRanker",
    "hisac": "headrace.methods.rank.hisac:HiSAC",
    "lambdamart": "headrace.methods.rank.lambdamart:LambdaMART",
    "lfm4ads": "headrace.methods.rank.lfm4ads:LFM4Ads",
    "masknet": "headrace.methods.rank.masknet:MaskNet",
    "mmoe": "headrace.methods.rank.mmoe:MMoE",
    "ple": "headrace.methods.rank.ple:PLE",
    "shared_bottom": "headrace.methods.rank.shared_bottom:SharedBottom",
    "sim": "headrace.methods.rank.sim:SIM",
    "spar": "headrace.methods.rank.spar:SPAR",
    "twin": "headrace.methods.rank.twin:TWIN",
}
