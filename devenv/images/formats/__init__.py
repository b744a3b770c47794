"""The file formats of images: reading and writing them, without the engine and without nodes.

`archive` lists what is in a `docker save` archive. `image_file` reads images from archives and OCI
layouts, checks every byte, and sends them on. `image_index`, `file_access` and `layer_check` are
its three parts. `layout` turns the stream of `docker save` into an OCI layout. `layers` tells
which layers a node lacks. `opening` and `gunzip` unpack, and `json_values` checks what JSON holds.
"""
