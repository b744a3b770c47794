"""JUnit's XML."""

from collections.abc import Mapping
from xml.etree import ElementTree as ET


def document(name: str, suite: ET.Element, numbers: Mapping[str, str]) -> str:
    """Return a document of one suite. `numbers`: what its outermost element counts, which is not all that a suite may have."""
    whole = ET.Element("testsuites", {**numbers, "name": name})
    whole.append(suite)
    ET.indent(whole)
    return ET.tostring(whole, encoding="unicode", xml_declaration=False)
