"""Loading images from the engine into the containerd of each node.

`containerd` reads what a node has, and streams layouts and blobs into several nodes at once.
`transfer` loads several images and sends only what the nodes lack. `image_import` is the plain
way: one import into one node.
"""
