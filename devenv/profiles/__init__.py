"""Profiles: the YAML files that say everything about an environment, and the user's settings.

`load.py` is the way in: it reads a profile with all that it extends (`files.py`, `paths.py`),
chooses a version and options (`variant.py`, `merge.py`) and validates the result (`model.py`,
`base.py`, `headers.py`). Errors name the file, the line and the key (`places.py`, `wording.py`);
`missing.py` finds references to files, recipes and codes that don't exist. `draft.py` writes a new
profile, `schema.py` the JSON Schema, and `settings.py` reads the user's `config.yaml`.
"""
