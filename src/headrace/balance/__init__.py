"""Several tasks to one gradient: oracles look at what the losses ask for, solvers weigh it. Short names as a TOML uses them."""

BALANCERS = {
    "equal": "headrace.balance.equal:Equal",
    "fixed": "headrace.balance.fixed:Fixed",
    "mgda": "headrace.balance.mgda:MGDA",
    "pcgrad": "headrace.balance.pcgrad:PCGrad",
    "cagrad": "headrace.balance.cagrad:CAGrad",
    "imtl_g": "headrace.balance.imtl_g:IMTLG",
    "aligned_mtl": "headrace.balance.aligned_mtl:AlignedMTL",
    "nash_mtl": "headrace.balance.nash_mtl:NashMTL",
    "gradnorm": "headrace.balance.gradnorm:GradNorm",
    "uncertainty": "headrace.balance.uncertainty:Uncertainty",
    "famo": "headrace.balance.famo:FAMO",
    "multibalance": "headrace.balance.multibalance:MultiBalance",
    "marigold": "headrace.balance.marigold:Marigold",
}
