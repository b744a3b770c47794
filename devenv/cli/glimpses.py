"""What completion reads of this machine, the engine and the API server.

It answers each press of Tab. So it reads files as they are, and asks the servers
without their clients, which take longer to import than an answer may take. Whatever goes wrong
raises: devenv/cli/values.py offers nothing then.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from devenv import data
from devenv.base.json_types import JsonObject

# Seconds that a server gets for an answer.
_TIMEOUT = 0.2
_ENGINE_SOCKET = "/var/run/docker.sock"
# A code of codes.yaml, and its title.
_CODE = re.compile(r"^(DE\d{3}):\n +title: (.+)$", re.MULTILINE)
# What selects the Deployments of `model add`, and where each has its model's name.
_ADDED = "/apis/apps/v1/deployments?labelSelector=app.kubernetes.io/managed-by%3Ddevenv"
_ADDED_MODEL = "devenv/model"


def cluster_names() -> list[str]:
    """Return the clusters that devenv remembers."""
    return sorted(record.stem for record in _records_folder().glob("*.json"))


def profile_of(cluster: str) -> str:
    """Return the profile of a cluster: a name, or the path of a file. Raises OSError if unknown."""
    record = json.loads((_records_folder() / f"{cluster}.json").read_text())
    return str(record["profile"])


def _records_folder() -> Path:
    import platformdirs

    return platformdirs.user_state_path("devenv") / "clusters"


def profile_names() -> list[str]:
    """Return the profiles that come with devenv."""
    return sorted(file.stem for file in (data.root() / "profiles").glob("*.yaml"))


def profile_contents(name: str) -> Iterator[JsonObject]:
    """Yield the content of a profile, and then that of each profile that it extends."""
    folder, path = data.root() / "profiles", Path(name)
    while name:
        path = path.parent / name
        if (shipped_path := folder / f"{name}.yaml").is_file():
            path = shipped_path
        content = _read_yaml(path)
        yield content
        name = content.get("extends", "")


def recipe_names(folder: Path | None) -> list[str]:
    """Return the recipes of a folder; of devenv's own if it is None."""
    recipes = (folder or data.root() / "images").glob("*/recipe.yaml")
    return sorted(recipe.parent.name for recipe in recipes)


def code_titles() -> dict[str, str]:
    """Return code → title."""
    file = Path(__file__).parents[1] / "diagnosis" / "codes.yaml"
    return dict(_CODE.findall(file.read_text()))


# The engine


def engine_images() -> list[str]:
    """Return the names of the engine's images. Raises OSError if none answers on a socket here."""
    import http.client
    import socket

    address = os.environ.get("DOCKER_HOST") or f"unix://{_ENGINE_SOCKET}"
    connection = http.client.HTTPConnection("engine", timeout=_TIMEOUT)
    with closing(connection):
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(_TIMEOUT)
        connection.sock.connect(address.removeprefix("unix://"))
        images = _answer(connection, "/images/json")
    return sorted(name for image in images for name in image.get("RepoTags") or ())


# The API server


def context_names() -> list[str]:
    """Return the contexts of the kubeconfig."""
    return [name for content in _kubeconfigs() for name in _by_name(content, "contexts")]


def added_models(cluster: str) -> list[str]:
    """Return the models that `model add` has added to a cluster."""
    import http.client
    import ssl
    import tempfile
    from base64 import b64decode
    from urllib.parse import urlsplit

    # kind gives its context, cluster and user one name.
    entry_name = f"kind-{cluster}"
    for content in _kubeconfigs():
        if entry_name in (servers := _by_name(content, "clusters")):
            server = servers[entry_name]["cluster"]
            user = _by_name(content, "users")[entry_name]["user"]
            break
    else:
        return []
    authority = b64decode(server["certificate-authority-data"]).decode()
    trust = ssl.create_default_context(cadata=authority)
    # The ssl module reads a certificate from a file only.
    with tempfile.NamedTemporaryFile() as file:
        file.write(b64decode(user["client-certificate-data"]) + b64decode(user["client-key-data"]))
        file.flush()
        trust.load_cert_chain(file.name)
    address = urlsplit(server["server"])
    connection = http.client.HTTPSConnection(
        address.hostname or "", address.port, timeout=_TIMEOUT, context=trust
    )
    with closing(connection):
        workloads = _answer(connection, _ADDED)["items"]
    annotations = [workload["metadata"].get("annotations") or {} for workload in workloads]
    return sorted(notes[_ADDED_MODEL] for notes in annotations if _ADDED_MODEL in notes)


def _kubeconfigs() -> Iterator[JsonObject]:
    """Yield the content of each of the kubeconfig's files that exists."""
    names = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    for name in names.split(os.pathsep):
        if os.path.isfile(name):  # noqa: PTH113 - also for ""
            yield _read_yaml(Path(name))


def _by_name(content: JsonObject, part: str) -> dict[str, JsonObject]:
    return {entry["name"]: entry for entry in content.get(part) or ()}


def _answer(connection: Any, path: str) -> Any:
    """Return what a server answers, from its JSON."""
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def _read_yaml(path: Path) -> JsonObject:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content: JsonObject = yaml.load(path.read_text(), loader) or {}  # noqa: S506 - it is a safe one
    return content
