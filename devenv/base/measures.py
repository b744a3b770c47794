"""Measured values of many things."""

from collections.abc import Mapping
from typing import TypeAlias

# Name or ID → bytes.
Sizes: TypeAlias = Mapping[str, int]
# Name or ID → seconds since 1970.
Times: TypeAlias = Mapping[str, float]
