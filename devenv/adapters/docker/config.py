"""Docker's config file: the values that devenv checks, and the credentials that it names."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docker.auth import AuthConfig
from docker.credentials import Store
from docker.credentials.errors import CredentialsNotFound, StoreError
from docker.utils.config import find_config_file

from devenv.base.errors import DevenvError, Exit
from devenv.base.json_types import JsonMap
from devenv.ports.reporter import Say

# Keys of the file whose values the library takes for maps, unseen.
_MAP_KEYS = ("auths", "credHelpers", "HttpHeaders", "proxies")


def _config_file() -> str:
    return str(find_config_file() or "~/.docker/config.json")


def refuse_malformed_config() -> None:
    """Raise DevenvError if Docker's config file has a value that the library can't handle.

    A file that is not JSON may stay: the library ignores it, as the docker program does.
    """
    path = _config_file()
    try:
        content = json.loads(Path(path).expanduser().read_bytes())
    except RecursionError as error:
        raise _malformed(path, "it is nested too deeply") from error
    except (OSError, ValueError):
        return
    if not isinstance(content, dict):
        return
    for key, value in _values_to_check(content):
        if value is not None and not isinstance(value, dict):
            raise _malformed(path, f"{key}: it must be a map of keys and values")


def _values_to_check(content: JsonMap) -> Iterator[tuple[str, Any]]:
    """Yield the values that must be maps, each with its key."""
    for key in _MAP_KEYS:
        yield key, content.get(key)
    proxies = content.get("proxies")
    if isinstance(proxies, dict):
        for name, value in proxies.items():
            yield f"proxies.{name}", value


def _malformed(path: str, reason: str) -> DevenvError:
    return DevenvError(
        f"Docker's {path} can't be used.",
        f"{path}: {reason}.",
        "Correct the file. It is in the folder that DOCKER_CONFIG names, if that is set.",
        Exit.PREREQUISITE,
    )


class Credentials(AuthConfig):
    """The credentials in Docker's config file.

    A credential helper that does not work counts as one without credentials. `notify` gets one
    sentence for each such helper.
    """

    def __init__(self, config: JsonMap, notify: Say) -> None:
        super().__init__(dict(config))
        self._helpers: dict[str, _CredentialHelper] = {}
        self._notify = notify

    def _get_store_instance(self, name: str) -> Any:
        """Return a helper by its name; the library calls this."""
        if name not in self._helpers:
            self._helpers[name] = _CredentialHelper(name, self._keys_naming(name), self._notify)
        return self._helpers[name]

    def _keys_naming(self, helper: str) -> str:
        """Return the keys of the config file that name a helper, as a list in one line."""
        keys = []
        if self.creds_store == helper:
            keys.append("credsStore")
        for registry, registry_helper in self.cred_helpers.items():
            if registry_helper == helper:
                keys.append(f'credHelpers["{registry}"]')
        return ", ".join(keys)


class _CredentialHelper:
    """A program docker-credential-NAME. One that does not work has no credentials."""

    def __init__(self, name: str, config_keys: str, notify: Say) -> None:
        self._program = f"docker-credential-{name}"
        self._config_keys = config_keys
        self._notify = notify
        self._store = Store(name) if shutil.which(self._program) else None

    def get(self, server: str) -> Any:
        """Return a registry's credentials. Raises CredentialsNotFound if there are none."""
        try:
            return self._require_store().get(server)
        except CredentialsNotFound:
            raise
        except (StoreError, OSError, ValueError, LookupError) as error:
            self._report(error)
            raise CredentialsNotFound(str(error)) from error

    def list(self) -> Any:
        """Return the user names by registry, for all registries that it has credentials for."""
        try:
            return self._require_store().list()
        except (StoreError, OSError, ValueError) as error:
            self._report(error)
            return {}

    def _require_store(self) -> Any:
        if self._store is None:
            raise StoreError("it is not on PATH")
        return self._store

    def _report(self, error: Exception) -> None:
        self._notify(
            f"The credential helper {self._program} does not work: {error}."
            " Builds and pulls continue without its credentials."
            f" Install it, or remove {self._config_keys} from {_config_file()}."
        )
