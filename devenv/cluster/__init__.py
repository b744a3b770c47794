"""The cluster as kind makes it, before anything is installed in it.

preflight.py checks the host and the engine; making.py creates the cluster or starts it, with
leases.py and reconnect.py for what a start leaves waiting; adopt.py takes over a cluster that
another tool made. status.py reads how the cluster is, stop.py stops it, and down.py deletes it, or,
with withdraw.py, removes from an adopted cluster what devenv brought.
"""
