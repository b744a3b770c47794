"""The user's kubeconfig: its files, and what is wrong with them.

The rules are kubectl's. KUBECONFIG names files; empty is the same as not set. A file that does not
exist or holds nothing is passed over, and one that is malformed is an error.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.base.json_types import JsonMap, JsonObject
from devenv.base.userfiles import Document, did_you_mean, near_it, read_yaml
from devenv.base.yaml_tree import LinesByKey

# The lists of a kubeconfig, and the key under which each entry has its content.
_CONTENT_KEYS = {"contexts": "context", "clusters": "cluster", "users": "user"}
# Keys of a cluster or a user that name files.
_FILE_KEYS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
# Keys of a cluster or a user whose values the client takes for strings, unseen.
_STRING_KEYS = (*_FILE_KEYS, "proxy-url", "tls-server-name", "token", "username", "password")
_FIX = "Correct the file, or remove it from KUBECONFIG. `kubectl config view` reads the same files."


class NoContextError(NotReachableError):
    """The kubeconfig does not have the context."""


@dataclass(frozen=True)
class Kubeconfig:
    """The user's kubeconfig."""

    # All files that are named, whether they exist or not.
    paths: tuple[Path, ...]
    # Those that hold anything.
    documents: tuple[Document, ...]

    @property
    def contexts(self) -> list[str]:
        """The names of all contexts."""
        return self._names("contexts")

    def _names(self, part: str) -> list[str]:
        entries = (entry for document in self.documents for entry in _entries(document, part))
        return [entry["name"] for entry in entries]

    def require(self, context: str) -> None:
        """Check that a context exists, and that what it refers to does.

        Raises NoContextError, or NotReachableError if it refers to a cluster or user that does not
        exist.
        """
        for document in self.documents:
            for entry in _entries(document, "contexts"):
                if entry["name"] == context:
                    self._check_references(document, context, entry.get("context") or {})
                    return
        raise self._no_context(context)

    def _check_references(self, document: Document, context: str, content: JsonMap) -> None:
        """Raise DevenvError if a context names a cluster or user that no file has."""
        problems = []
        for key, part in (("cluster", "clusters"), ("user", "users")):
            name, names = content.get(key), self._names(part)
            # A context without a user is complete.
            is_left_out = key == "user" and not name
            if name in names or is_left_out:
                continue
            line = document.lines.get(("contexts", context, "context", key), 1)
            problems.append(
                f"{document.path}:{line}: contexts.{context}: it refers to the {key} {name},"
                f" which does not exist{near_it(str(name), names)}"
            )
        if problems:
            raise _unusable(document.path, problems)

    def _no_context(self, context: str) -> NoContextError:
        """Return the error for a context that no file has, with the names that are near."""
        files = ", ".join(map(str, self.paths))
        fix = "List the contexts with `kubectl config get-contexts`."
        if context.startswith("kind-"):
            fix = f"Run `devenv up --name {context.removeprefix('kind-')}`."
        return NoContextError(
            f"The kubeconfig has no context {context}.",
            f"{self._offer_contexts(context)} Its files: {files}.",
            fix,
            Exit.UNKNOWN,
        )

    def _offer_contexts(self, context: str) -> str:
        """Return a sentence with the contexts that exist, or the near ones."""
        names = self.contexts
        if not names:
            return "It has no contexts at all."
        if question := did_you_mean(context, names):
            return f"{question[:1].upper()}{question[1:]}"
        return f"It has: {', '.join(names)}."


def paths() -> tuple[Path, ...]:
    """Return the files that KUBECONFIG names, else the usual one."""
    names = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    # os.path, since pathlib raises for a user that does not exist.
    files = map(os.path.expanduser, names or ["~/.kube/config"])
    return tuple(map(Path, files))


def read() -> Kubeconfig:
    """Return the kubeconfig. Raises NotReachableError with the place of what is wrong with it."""
    files = paths()
    documents = []
    for path in files:
        try:
            document = read_yaml(path)
        except FileNotFoundError:
            continue
        except DevenvError as error:
            raise _unusable(path, error.why.splitlines() or [error.what]) from error
        if document.content is not None:
            _refuse_malformed(document)
            documents.append(document)
    return Kubeconfig(files, tuple(documents))


def refuse_unwritable() -> None:
    """Raise DevenvError if kind could not write a new context: into a device or a folder.

    kind writes to the first file that exists, else to the last one that is named.
    """
    files = paths()
    target = next(filter(os.path.exists, files), files[-1])
    if not _is_no_file(target):
        return
    what = f"kind can't save the cluster's context in {target}: it is not a file."
    reason = f"KUBECONFIG is {os.environ.get('KUBECONFIG', '')}."
    raise DevenvError(what, reason, "Unset KUBECONFIG, or set it to a file.", Exit.PREREQUISITE)


def _refuse_malformed(document: Document) -> None:
    """Raise NotReachableError with everything in a file that is not as in a kubeconfig."""
    if not isinstance(document.content, dict):
        raise _unusable(document.path, [f"{document.path}:1: it must be a map of keys and values"])
    lines = document.lines
    problems: list[str] = []
    for part in _CONTENT_KEYS:
        problems += _list_problems(document, lines, part)
    if problems:
        raise _unusable(document.path, problems)


def _list_problems(document: Document, lines: LinesByKey, part: str) -> Iterator[str]:
    """Yield what is wrong with one of the lists, each with its line."""
    entries = document.content.get(part)
    first_line = lines.get((part,), 1)
    if entries is None:
        return
    if not isinstance(entries, list):
        yield f"{document.path}:{first_line}: {part}: it must be a list"
        return
    for number, entry in enumerate(entries):
        name = _name_of(entry)
        line = lines.get((part, name)) or lines.get((part, number)) or first_line
        place = f"{document.path}:{line}: {part}.{name or number}"
        for problem in _entry_problems(entry, _CONTENT_KEYS[part], document.path.parent):
            yield f"{place}: {problem}"


def _name_of(entry: Any) -> str:
    """Return the name of an entry, "" if it has none, or is malformed."""
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else ""


def _entry_problems(entry: Any, content_key: str, folder: Path) -> Iterator[str]:
    """Yield what is wrong with an entry. `folder` is where relative paths begin."""
    if not isinstance(entry, dict):
        yield "it must be a map of keys and values"
        return
    if not _name_of(entry):
        yield "name: it must be a string"
    content = entry.get(content_key)
    if isinstance(content, dict):
        if content_key == "cluster" and not _is_filled_string(content.get("server")):
            yield "cluster.server: it must be an address"
        for problem in _value_problems(content, folder):
            yield f"{content_key}.{problem}"
    elif content_key != "user" or content is not None:
        # Only a user may have nothing to show.
        yield f"{content_key}: it must be a map of keys and values"


def _is_filled_string(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _value_problems(content: JsonMap, folder: Path) -> Iterator[str]:
    """Yield what is wrong with values that the client takes unseen.

    It would read a device that never ends, for instance.
    """
    for key in _STRING_KEYS:
        value = content.get(key)
        if value is not None and not isinstance(value, str):
            yield f"{key}: it must be a string"
        elif value and key in _FILE_KEYS and _is_no_file(folder / value):
            yield f"{key}: {value} is not a file"


def _is_no_file(path: Path) -> bool:
    """Whether something exists there that is not a file, like a device."""
    # os.path, since pathlib raises for a name that no path can have.
    return os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113


def _entries(document: Document, part: str) -> list[JsonObject]:
    return list(document.content.get(part) or ())


def _unusable(path: Path, problems: Iterable[str]) -> NotReachableError:
    what = f"The kubeconfig {path} can't be used."
    # Not a plain DevenvError, since another program may be rewriting the file: a wait continues.
    return NotReachableError(what, "\n".join(problems), _FIX, Exit.PREREQUISITE)
