"""Recipes, which build images and files from package registries alone.

Each recipe is a folder under images/.

`recipe` reads recipes and computes their keys. `build_plan` says what must be made, with its time
and disk; `build` checks and runs such a plan. `files` makes a recipe's files, with the Go compiler
of `toolchain` and the packages of `wheels`. `image_build` makes its image, `node_image` fills the
image of a kind node. `listing` is what `devenv images list` shows.
"""
