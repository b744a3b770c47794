"""Models in a cluster: `devenv model add`, `list` and `rm`.

Two parts of AIBrix discover a model, and neither knows of the other: the plugin finds pods by
their label, and the controller creates a route from a Deployment's label to a Service with the
model's name (docs/facts/aibrix.md). A mistake in one of them is silent in the other, so devenv
reports what each of them sees. `models.py` is the way in. `check.py`, `add.py`, `listing.py` and
`remove.py` each do one thing. `objects.py` makes the Kubernetes objects; all share `lookup.py`
and `requests.py`.
"""
