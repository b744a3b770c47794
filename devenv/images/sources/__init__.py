"""Where each image of a profile comes from, and how it gets into the engine.

`provider` decides between the engine, an archive, the user's source code, a registry and a recipe,
and obtains the image; `errors` says that no source has it. `registry` explains why a registry
refuses an image. `inplace` builds from the user's source code, `python_program` packs a Python
program, and `stamp` marks from which state of the source code an image was built.
"""
