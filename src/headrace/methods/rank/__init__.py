"""Candidates ordered with all that is known. Short names as a TOML uses them."""

RANKERS = {
    "dcnv2": "headrace.methods.rank.dcnv2:DCNv2",
    "din": "headrace.methods.rank.din:DIN",
    "dlrm": "headrace.methods.rank.dlrm:DLRM",
    "lambdamart": "headrace.methods.rank.lambdamart:LambdaMART",
    "masknet": "headrace.methods.rank.masknet:MaskNet",
}
