"""Folders of this checkout that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
INCIDENTS = ROOT / "tests" / "incidents"
