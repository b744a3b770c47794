"""JUnit's XML."""

from collections.abc import Mapping
from xml.etree import ElementTree as ET


def document(name: str, suite: ET.Element, numbers: Mapping[str, str]) -> str:
    """Return a document of one suite.

    `numbers`: the attributes of the outermost element, which may have fewer than a suite.
    """
    suites = ET.Element("testsuites", {**numbers, "name": name})
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=False)
