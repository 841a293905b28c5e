"""How the learning rate goes over a run: a factor of the peak rate for each step, without any state.

    warm-up        (t + 1) / w                                   for t < w, under every schedule
    constant       1
    linear         1 - (1 - f) x                                 x = (t - w) / (n - w), from 0 to 1
    cosine         f + (1 - f) (1 + cos(π x)) / 2
    inverse_sqrt   sqrt(w / (t + 1)), w at least 1: it has no end
    wsd            1, then linear to f over the last share c of the n steps (warm-up, stable, decay)

t: the step, from 0; w: warm-up steps; n: steps of the whole run; f: what is left at its end. A function of the step alone, so a
run taken up from a checkpoint goes on with the rate it would have had. Steps beyond n keep f. Cost: nothing.

Use constant where early stopping decides on the length; cosine or linear where it is known, since they have to end with the run;
wsd where a run may be prolonged from its stable part; inverse_sqrt where there is no end.
Papers: Vaswani et al., 2017, section 5.3 (inverse_sqrt); Loshchilov and Hutter, 2017 (cosine); Hu et al., 2024, section 4 (wsd).
"""

from math import cos, pi, sqrt

from headrace.contracts.training import Schedule


def factor(step: int, steps: int, schedule: Schedule, *, warmup: int = 0, final: float = 0.0, decay: float = 0.2) -> float:
    """What the peak rate is multiplied by. final: f; decay: c, for wsd alone."""
    if step < warmup:
        return (step + 1) / warmup
    done = min((step - warmup) / max(steps - warmup, 1), 1.0)
    match schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1 - (1 - final) * done
        case "cosine":
            return final + (1 - final) * (1 + cos(pi * done)) / 2
        case "inverse_sqrt":
            return sqrt(max(warmup, 1) / (step + 1))
        case "wsd":
            falling = max(decay * steps, 1)
            return 1 - (1 - final) * min(max(step - (steps - falling), 0) / falling, 1.0)
