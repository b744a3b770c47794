"""`devenv recover`: repairs what `doctor` diagnoses, with the least that is needed.

`plan.py` is pure: it turns a diagnosis into steps, and names the root causes that only the user can
repair. `drift.py` finds the profile's objects that are missing or changed, and `room.py` says
whether a node's disk has enough space. `proposal.py` joins plan and drift, from a look at the
cluster or, for the page of `doctor`, from facts alone. `recover.py` runs the steps, gate after
gate, and diagnoses again until everything works or a round has changed nothing. `scheduled.py` is
the daily run: it frees space first, then diagnoses, and repairs if the user wants it.
"""
