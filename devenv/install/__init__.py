"""What `up` puts into a cluster: manifests and images, and the waits until both work.

manifests.py reads and patches the profile's manifests, which downloads.py fetches and checkout.py,
kustomization.py and kustomize_folders.py render; refusals.py validates the patches, declared.py
caches what they declare. loading.py loads images into the nodes, with replacing.py to undo a load.
applying.py applies the objects and waits at gates, with watch.py and nudges.py to shorten the wait,
and settled.py waits for the end of rollouts. context.py and
objects.py are what all of them share; named_images.py lists the images that a cluster's workloads
name.
"""
