"""Loads rebuilt images into a running cluster, and returns to earlier ones.

`plan` decides which images move into which nodes, and how. `push` is the fast way, in which the
engine pushes only the missing layers; `load` moves the images by that way or another. `users` finds
the workloads that use an image, `rollout` restarts them and proves the result, and `undo` returns
to the images that were proven before. `build` builds images first; `reload` is the whole command.
"""
