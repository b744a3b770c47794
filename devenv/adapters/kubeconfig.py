"""The user's kubeconfig: its files, and what is wrong with them.

As in kubectl: KUBECONFIG names files, empty is the same as not set, a file that is not there or
holds nothing is passed over, and one that is broken is an error.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devenv.errors import DevenvError, Exit, NotReachableError
from devenv.userfiles import Document, did_you_mean, near_it, read_yaml

_LISTS = {"contexts": "context", "clusters": "cluster", "users": "user"}
# What must be texts, and of these what names files, where a kubeconfig has it.
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_TEXTS = (*_FILES, "proxy-url", "tls-server-name", "token", "username", "password")
_FIX = "Correct the file, or remove it from KUBECONFIG. `kubectl config view` reads the same files."


class NoContextError(NotReachableError):
    """The kubeconfig has no such context."""


@dataclass(frozen=True)
class Kubeconfig:
    """The files that hold anything. `paths`: all that are named, there or not."""

    paths: tuple[Path, ...]
    documents: tuple[Document, ...]

    @property
    def contexts(self) -> list[str]:
        """The names of all contexts."""
        return self._names("contexts")

    def _names(self, part: str) -> list[str]:
        entries = (entry for document in self.documents for entry in _entries(document, part))
        return [entry["name"] for entry in entries]

    def require(self, context: str) -> None:
        """Raise NoContextError where there is no such context, DevenvError for half of one."""
        entries = [(d, e) for d in self.documents for e in _entries(d, "contexts")]
        document, entry = next(((d, e) for d, e in entries if e["name"] == context), (None, None))
        if document is None or entry is None:
            raise self._no_context(context)
        inner = entry.get("context") or {}
        problems = []
        for key, part in (("cluster", "clusters"), ("user", "users")):
            names = self._names(part)
            name = inner.get(key)
            if name not in names and (name or key == "cluster"):
                line = document.lines.get(("contexts", context, "context", key), 1)
                what = f"it refers to the {key} {name}, which does not exist{near_it(str(name), names)}"
                problems.append(f"{document.path}:{line}: contexts.{context}: {what}")
        if problems:
            raise _unusable(document.path, problems)

    def _no_context(self, context: str) -> NoContextError:
        files = ", ".join(map(str, self.paths))
        names = self.contexts
        if not names:
            reason = f"It has no contexts at all. Its files: {files}."
        elif question := did_you_mean(context, names):
            reason = f"{question[:1].upper()}{question[1:]} Its files: {files}."
        else:
            reason = f"It has: {', '.join(names)}. Its files: {files}."
        fix = "`kubectl config get-contexts` lists them."
        if context.startswith("kind-"):
            fix = f"Run `devenv up --name {context.removeprefix('kind-')}`."
        return NoContextError(
            f"The kubeconfig has no context {context}.", reason, fix, Exit.UNKNOWN
        )


def paths() -> tuple[Path, ...]:
    """Return the files that KUBECONFIG names, else the usual one."""
    names = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    # os.path, since pathlib raises for a user that is not there
    files = map(os.path.expanduser, names or ["~/.kube/config"])
    return tuple(map(Path, files))


def read() -> Kubeconfig:
    """Return the kubeconfig. Raises DevenvError with file and line of what is wrong with it."""
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
            _check(document)
            documents.append(document)
    return Kubeconfig(files, tuple(documents))


def refuse_unwritable() -> None:
    """Raise DevenvError where kind could not keep a new context: in a device or in a folder.

    kind writes to the first file that is there, else to the last one that is named.
    """
    files = paths()
    target = next(filter(os.path.exists, files), files[-1])
    if not os.path.exists(target) or os.path.isfile(target):  # noqa: PTH110, PTH113
        return
    what = f"kind can't save the cluster's context in {target}: it is not a file."
    reason = f"KUBECONFIG is {os.environ.get('KUBECONFIG', '')}."
    raise DevenvError(what, reason, "Unset KUBECONFIG, or set it to a file.", Exit.PREREQUISITE)


def _check(document: Document) -> None:
    """Raise DevenvError with everything in a file that is not as in a kubeconfig."""
    if not isinstance(document.content, dict):
        raise _unusable(document.path, [f"{document.path}:1: it must be a map of keys and values"])
    lines = document.lines
    problems: list[str] = []
    for part, inner in _LISTS.items():
        entries = document.content.get(part)
        if entries is None:
            continue
        if not isinstance(entries, list):
            problems.append(f"{document.path}:{lines.get((part,), 1)}: {part}: it must be a list")
            continue
        for number, entry in enumerate(entries):
            name = entry.get("name") if isinstance(entry, dict) else None
            name = name if isinstance(name, str) else ""
            line = lines.get((part, name)) or lines.get((part, number)) or lines.get((part,), 1)
            place = f"{document.path}:{line}: {part}.{name or number}"
            problems += [f"{place}: {what}" for what in _odd(entry, inner)]
            content = entry.get(inner) if isinstance(entry, dict) else None
            folder = document.path.parent
            problems += [f"{place}: {inner}.{what}" for what in _odd_texts(content, folder)]
    if problems:
        raise _unusable(document.path, problems)


def _odd(entry: Any, inner: str) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield "it must be a map of keys and values"
        return
    if not isinstance(entry.get("name"), str) or not entry["name"]:
        yield "name: it must be a string"
    is_user_without_any = inner == "user" and entry.get(inner) is None
    if not isinstance(entry.get(inner), dict) and not is_user_without_any:
        yield f"{inner}: it must be a map of keys and values"
        return
    server = (entry.get(inner) or {}).get("server") if inner == "cluster" else "there"
    if not isinstance(server, str) or not server:
        yield "cluster.server: it must be an address"


def _odd_texts(content: Any, folder: Path) -> Iterator[str]:
    """Yield what is wrong with the values that the client takes unseen, and with files that it would never end reading."""
    if not isinstance(content, dict):
        return
    for key in _TEXTS:
        value = content.get(key)
        if value is not None and not isinstance(value, str):
            yield f"{key}: it must be a text"
        elif value and key in _FILES and _is_no_file(folder / value):
            yield f"{key}: {value} is not a file"


def _is_no_file(path: Path) -> bool:
    """Whether something else than a file is there, like a device."""
    # os.path, since pathlib raises for a name that no path can have
    return os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113


def _entries(document: Document, part: str) -> list[dict[str, Any]]:
    return list(document.content.get(part) or ())


def _unusable(path: Path, problems: Iterable[str]) -> NotReachableError:
    what = f"The kubeconfig {path} can't be used."
    # Not a plain DevenvError, since another program may be rewriting it: a wait continues.
    return NotReachableError(what, "\n".join(problems), _FIX, Exit.PREREQUISITE)
