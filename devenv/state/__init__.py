"""What devenv remembers of its clusters.

`record` has the record of each cluster in the state folder, and tells whether a cluster is devenv's
own; `in_cluster` keeps a copy in the cluster. `choice` finds the profile that a command uses.
`proven` knows which images were proven and which one to return to, and `own_builds` which images in
the engine devenv built itself.
"""
