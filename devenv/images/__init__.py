"""Images, from where they come from to the nodes that run them.

`sources` decides where each image of a profile comes from and brings it into the engine. `recipes`
builds images and files from package registries alone. `nodes` loads images from the engine into
the containerd of each node. `formats` reads and writes the files in which images travel.
"""
