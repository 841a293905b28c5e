"""Online experiments: planned, sized and sealed before the start, assigned by hash, read with the error rates that were promised.

plan.py        what is tested, how often one may look, how many units: an ExperimentPlan and its digest
record.py      the plan as it stood at the start, and every look since: a changed plan is refused
assignment.py  a unit's arm, from a salted hash
exposures.py   who was exposed when, and whether the arms have the sizes they should have
outcomes.py    what each unit did after its exposure, summed
metrics.py     breadth, depth, mean and ratio, with CUPED: differences and their standard errors
sequential.py  group-sequential boundaries; always_valid.py: a confidence sequence
designs.py     the three designs behind one pair of functions: the critical value and p
power.py       units for an effect, an effect for units, days
decisions.py   the table from standings to ship, hold or stop
analysis.py    all of it on a plan, exposures and outcomes; printing.py: its table; reading.py: both tables from files
simulation.py  units with and without an effect, for A/A and A/B checks
"""
