"""`config view`: what applies here, and where each value is from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devenv.base.errors import DevenvError
from devenv.base.network import VARIABLES as NETWORK_VARIABLES
from devenv.base.userfiles import read_yaml
from devenv.base.yaml_tree import LinesByKey
from devenv.facts.redact import without_credentials
from devenv.ports.host import Host
from devenv.profiles import settings
from devenv.state.choice import Choice

# Keys of a profile that the user's settings can change.
_CHANGEABLE = ("budgets", "auto_prune", "protect", "keep_newer")
# Variables that devenv, or what it uses, reads.
_VARIABLES = (
    "DEVENV_CLUSTER",
    "DEVENV_PROFILE",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "KUBECONFIG",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "NO_COLOR",
    "TERM",
    *NETWORK_VARIABLES,
)
DEFAULT = "default"
_Key = tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A value that applies, and where it is from. `problem` says what is wrong with it."""

    name: str
    value: str
    source: str
    problem: str = ""


@dataclass(frozen=True)
class Configuration:
    """All that applies, and the variables that are set and matter, without credentials."""

    entries: tuple[Entry, ...]
    variables: Mapping[str, str]


@dataclass(frozen=True)
class ConfigurationReader:
    """Finds out what applies to one cluster. What can't be read is an entry with its problem."""

    host: Host
    cluster: str
    # Which option or variable named the cluster and the profile.
    cluster_source: str
    profile_source: str
    # Gives the cluster's profile.
    choose: Callable[[], Choice]
    # Gives the engine's address, and which setting has it; "" for a usual place.
    engine: Callable[[], tuple[str, str]]
    environment: Mapping[str, str]

    def read(self) -> Configuration:
        """Return the configuration. Asks neither the engine nor the API server."""
        entries = [
            Entry("cluster", self.cluster, self.cluster_source),
            self._engine(),
            self._kubeconfig(),
            self._settings(),
            *self._folders(),
            *self._profile(),
        ]
        values = {name: self.environment.get(name, "") for name in _VARIABLES}
        variables = {name: value for name, value in values.items() if value}
        return Configuration(tuple(entries), without_credentials(variables))

    def _engine(self) -> Entry:
        try:
            address, source = self.engine()
        except DevenvError as error:
            return Entry("engine", "", "", error.in_one_line)
        return Entry("engine", str(without_credentials(address)), source or DEFAULT)

    def _kubeconfig(self) -> Entry:
        if paths := self.environment.get("KUBECONFIG"):
            return Entry("kubeconfig", paths, "KUBECONFIG")
        return Entry("kubeconfig", str(Path.home() / ".kube" / "config"), DEFAULT)

    @property
    def _settings_file(self) -> Path:
        return self.host.config_dir() / settings.FILE

    def _settings(self) -> Entry:
        """Return where the settings are; whether the file is broken is its problem."""
        source = self._folder_source("XDG_CONFIG_HOME")
        problem = ""
        try:
            settings.read(self._settings_file)
        except DevenvError as error:
            problem = error.in_one_line
        return Entry("settings", str(self._settings_file), source, problem)

    def _folders(self) -> Iterator[Entry]:
        yield Entry("cache", str(self.host.cache_dir()), self._folder_source("XDG_CACHE_HOME"))
        try:
            state = str(self.host.state_dir())
        except DevenvError as error:
            yield Entry("state", "", "", error.in_one_line)
            return
        yield Entry("state", state, self._folder_source("XDG_STATE_HOME"))

    def _folder_source(self, variable: str) -> str:
        return variable if self.environment.get(variable) else DEFAULT

    def _profile(self) -> Iterator[Entry]:
        """Yield the profile, and each of its values that settings can change."""
        try:
            choice = self.choose()
        except DevenvError as error:
            yield Entry("profile", "", self.profile_source, error.in_one_line)
            return
        yield Entry("profile", choice.name, self.profile_source or choice.reason)
        lines = self._settings_lines()
        content = choice.profile.model_dump(by_alias=True)
        for key, value in _values(content, _CHANGEABLE):
            yield Entry(".".join(key), _spelled(value), self._source(key, choice, lines))

    def _settings_lines(self) -> LinesByKey:
        """Return the line of each key in the settings, nothing if they don't apply."""
        try:
            settings.read(self._settings_file)
            return read_yaml(self._settings_file).lines
        except (FileNotFoundError, DevenvError):
            return {}

    def _source(self, key: _Key, choice: Choice, lines: LinesByKey) -> str:
        profile = f"profile {choice.profile.name}"
        if key not in lines:
            return profile
        place = f"{self._settings_file}:{lines[key]}"
        if key == ("protect",):
            # The settings add to the profile's.
            return f"{profile}, {place}"
        return place


def _values(content: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[tuple[_Key, Any]]:
    """Yield each value below these keys that is not a map, with the keys that lead to it."""
    for key in keys:
        value = content[key]
        if not isinstance(value, Mapping):
            yield (key,), value
            continue
        for inner_key, inner_value in _values(value, tuple(value)):
            yield (key, *inner_key), inner_value


def _spelled(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
