"""Gates: may the candidate generation replace the one that is live? Each is a small config with a `decide`, named in the TOML.

    [gates]
    required = ["offline", "calibration", "off_policy"]

    [gates.offline]
    margin = 0.005

A gate that lacks its evidence says so; it neither blocks nor, where it is required, lets anything through.
"""

GATES = {
    "offline": "headrace.flywheel.gates.offline:OfflineNonInferiority",
    "slices": "headrace.flywheel.gates.offline:SliceGuardrails",
    "calibration": "headrace.flywheel.gates.calibration:Calibration",
    "judge_bar": "headrace.flywheel.gates.judge_bar:JudgeBar",
    "win_rate": "headrace.flywheel.gates.win_rate:WinRateBand",
    "agreement": "headrace.flywheel.gates.win_rate:Agreement",
    "style": "headrace.flywheel.gates.style:StyleShift",
    "off_policy": "headrace.flywheel.gates.off_policy:OffPolicyLowerBound",
    "shadow": "headrace.flywheel.gates.operation:Shadow",
    "latency": "headrace.flywheel.gates.operation:LatencyBudget",
    "experiment": "headrace.flywheel.gates.experiment:AbDecision",
}
