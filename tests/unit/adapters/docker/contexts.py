"""Docker contexts, as Docker keeps them below its config folder."""

import hashlib
import json
from pathlib import Path


def add_context(config: Path, name: str, host: str) -> None:
    """Write a context whose engine is at `host`."""
    folder = config / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    folder.mkdir(parents=True)
    meta = {
        "Name": name,
        "Metadata": {},
        "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}},
    }
    (folder / "meta.json").write_text(json.dumps(meta))
