"""One cluster's API server. Kubernetes' own client makes the connection; objects stay JSON."""

import base64
import contextlib
import importlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3
import yaml

from devenv.adapters import kubeconfig
from devenv.base.errors import (
    DevenvError,
    Exit,
    NotFoundError,
    NotReachableError,
    RefusedError,
    UntrustedError,
)
from devenv.base.json_types import JsonObject
from devenv.base.network import credentials, proxy_for, without_credentials
from devenv.ports.kube import KindKey, Manifest

_MANAGER = "devenv"
_JSON = "application/json"
_APPLY_PATCH = "application/apply-patch+yaml"
_MERGE_PATCH = "application/merge-patch+json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
# What a replaced object keeps of the one before it.
_PRESERVED_METADATA = ("resourceVersion", "ownerReferences", "finalizers")
# Statuses that are about the object, and not about who asks or when.
_OBJECT_STATUSES = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
# Objects of a list that are asked for at once.
_PAGE_SIZE = 250
# Seconds.
_TIMEOUT = urllib3.Timeout(connect=3, read=20)
# A log may be silent for as long as it likes.
_FOLLOW_TIMEOUT = urllib3.Timeout(connect=3, read=None)
# Seconds for the program by which a context signs in; a person may have to answer it.
_SIGN_IN_TIMEOUT = 60.0
# A server may ask for another try ("storage is (re)initializing", after a change of CRDs). It gets
# one, after the pause that it names.
_RETRIES = urllib3.Retry(
    total=None,
    connect=False,
    read=False,
    redirect=False,
    other=False,
    status=8,
    status_forcelist=[HTTPStatus.TOO_MANY_REQUESTS],
    allowed_methods=None,
    backoff_factor=0.2,
    raise_on_status=False,
)

_Query = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class _Connection:
    """What the client made of the kubeconfig: its settings, and its pool of connections."""

    settings: Any
    pool: urllib3.PoolManager

    def headers(self, **headers: str) -> dict[str, str]:
        """Return the headers of a request, with the token if the kubeconfig has one."""
        if token := authorization(self.settings):
            headers["Authorization"] = token
        return headers

    def url(self, path: str, query: _Query) -> str:
        """Return the address of a path."""
        if not query:
            return f"{self.settings.host}{path}"
        return f"{self.settings.host}{path}?{urlencode(query)}"


@dataclass(frozen=True)
class _Resource:
    """How the API server spells a kind in paths."""

    plural: str
    is_namespaced: bool


class ContextKube:
    """The API server that a context of the user's kubeconfig names.

    With `proxied` it is reached as kubectl reaches it: through the context's `proxy-url` or the
    environment's proxy. Without, directly: the API servers that kind makes listen on the host, and
    network proxies don't lead there.
    """

    def __init__(self, context: str, *, proxied: bool = False) -> None:
        self._context, self._proxied = context, proxied
        self._guard = threading.Lock()
        self._open_connection: _Connection | None = None
        # By API version and kind.
        self._resources: dict[KindKey, _Resource] = {}

    def prepare(self) -> None:
        """Begin to import the client, which takes 0.4 s, while others wait for the engine."""
        threading.Thread(
            target=importlib.import_module, args=["kubernetes.config"], daemon=True
        ).start()

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self._get_text("/readyz") == "ok"
        except DevenvError:
            return False

    def why_unready(self) -> str:
        """Return why the API server is not ready, in its own words if it answers; "" if it is."""
        try:
            self._get_text("/readyz", [("verbose", "true")])
        except (RefusedError, UntrustedError) as error:
            return error.in_one_line
        except DevenvError:
            return "an answer from it"
        return ""

    def kubeconfig(self) -> str:
        """Return a kubeconfig with this context alone, as the current one; JSON, keys included."""
        settings = self.settings("its kubeconfig")
        name = self._context
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": _cluster_entry(settings)}],
            "users": [{"name": name, "user": _user_entry(settings)}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }
        return json.dumps(content)

    def server_port(self) -> int:
        """Return the port that the context leads to, 0 if the context does not exist."""
        try:
            settings = self.settings("its address")
        except kubeconfig.NoContextError:
            return 0
        return urlsplit(settings.host).port or 0

    def forget(self) -> None:
        """Read the kubeconfig again before the next call."""
        self._open_connection = None
        self._resources.clear()

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None:
        """Return the object; None if it does not exist, or its kind is unknown."""
        with contextlib.suppress(NotFoundError):
            path = self._path(api_version, kind, namespace, name)
            manifest: Manifest = self._get_json(path)
            return manifest
        return None

    def select(
        self, api_version: str, kind: str, namespace: str = "", selector: str = ""
    ) -> list[Manifest]:
        """Return all objects of the kind that the labels select."""
        query = [("labelSelector", selector)] if selector else []
        with contextlib.suppress(NotFoundError):
            answer = self._get_json(self._path(api_version, kind, namespace, ""), query)
            return list(answer["items"])
        return []

    def each(self, api_version: str, kind: str) -> Iterator[Manifest]:
        """Yield all objects of the kind, page by page."""
        query = [("limit", str(_PAGE_SIZE))]
        with contextlib.suppress(NotFoundError):
            path = self._path(api_version, kind, "", "")
            while True:
                page = self._get_json(path, query)
                yield from page["items"]
                continue_token = str((page.get("metadata") or {}).get("continue") or "")
                if not continue_token:
                    return
                query = [("limit", str(_PAGE_SIZE)), ("continue", continue_token)]

    def metadata(self, api_version: str, kind: str) -> list[Manifest]:
        """Return all objects of the kind with nothing but their metadata."""
        answer = self._get_json(self._path(api_version, kind, "", ""), accept=_METADATA)
        # An empty list of metadata has null for its items.
        return list(answer["items"] or ())

    def node_stats(self, name: str) -> Manifest:
        """Return what a node's kubelet says of its resources, through the API server."""
        path = f"/api/v1/nodes/{quote(name)}/proxy/stats/summary"
        stats: Manifest = self._get_json(path, [("only_cpu_and_memory", "false")])
        return stats

    def apply(self, manifest: Manifest) -> None:
        """Apply an object on the server's side, taking over fields that others manage."""
        query = [("fieldManager", _MANAGER), ("force", "true")]
        self._write("PATCH", self._path_of(manifest), query, manifest, _APPLY_PATCH)

    def dry_run(self, manifest: Manifest) -> str:
        """Return why the API server would refuse to apply an object.

        The result is "" if it would not refuse, or can't say.
        """
        path = self._path_of(manifest)
        query = [("fieldManager", _MANAGER), ("force", "true"), ("dryRun", "All")]
        try:
            self._write("PATCH", path, query, manifest, _APPLY_PATCH)
        except RefusedError as refusal:
            if _is_about_the_object(refusal):
                return refusal.why
        return ""

    def replace(self, manifest: Manifest) -> None:
        """Put an object in the place of the existing one, with nothing that others set in it."""
        path = self._path_of(manifest)
        current_metadata = self._get_json(path)["metadata"]
        metadata = dict(manifest["metadata"])
        for key in _PRESERVED_METADATA:
            if key in current_metadata:
                metadata[key] = current_metadata[key]
        body = {**manifest, "metadata": metadata}
        self._write("PUT", path, [("fieldManager", _MANAGER)], body, _JSON)

    def merge(self, manifest: Manifest) -> None:
        """Change only the fields that are given, even if others manage them."""
        body = dict(manifest)
        del body["apiVersion"], body["kind"]
        query = [("fieldManager", f"{_MANAGER}-reload")]
        self._write("PATCH", self._path_of(manifest), query, body, _MERGE_PATCH)

    def delete(
        self, api_version: str, kind: str, namespace: str, name: str, *, grace: int | None = None
    ) -> None:
        """Ask the API server to remove an object with all that it owns.

        Does nothing if it does not exist. The object may be there for a while. `grace` is how many
        seconds a pod's containers get to end; None leaves that to the pod.
        """
        query = [("propagationPolicy", "Background")]
        if grace is not None:
            query.append(("gracePeriodSeconds", str(grace)))
        with contextlib.suppress(NotFoundError):
            self._request("DELETE", self._path(api_version, kind, namespace, name), query)

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        since_seconds: int,
        tail: int,
        *,
        timestamps: bool = False,
        previous: bool = False,
        head: int = 0,
    ) -> str:
        """Return the last lines of a container's log; with `head`, its first bytes instead.

        0 sets no limit.
        """
        query = [
            ("container", container),
            ("timestamps", str(timestamps).lower()),
            ("previous", str(previous).lower()),
        ]
        limits = (("sinceSeconds", since_seconds), ("tailLines", tail), ("limitBytes", head))
        query += [(name, str(value)) for name, value in limits if value]
        return self._get_text(_log_path(namespace, pod), query)

    def follow(
        self, namespace: str, pod: str, container: str, since_seconds: int, tail: int
    ) -> Iterator[str]:
        """Yield the lines of a container's log, each with its time, until the container ends."""
        query = [("container", container), ("timestamps", "true"), ("follow", "true")]
        limits = (("sinceSeconds", since_seconds), ("tailLines", tail))
        query += [(name, str(value)) for name, value in limits if value]
        path = _log_path(namespace, pod)
        with _connection_errors(self._context, f"GET {path}"):
            connection = self._connection()
            answer = connection.pool.request(
                "GET",
                connection.url(path, query),
                headers=connection.headers(),
                preload_content=False,
                timeout=_FOLLOW_TIMEOUT,
            )
            _raise_for_status(self._context, f"GET {path}", answer)
            for line in answer:
                yield line.decode(errors="replace").rstrip("\n")

    def settings(self, what: str) -> Any:
        """Return what the kubeconfig says of the connection.

        Raises NotReachableError if the kubeconfig or its context can't be used; `what` says in it
        what the settings were for.
        """
        with _connection_errors(self._context, what):
            return self._connection().settings

    def _path_of(self, manifest: Manifest) -> str:
        metadata = manifest["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        return self._path(manifest["apiVersion"], manifest["kind"], namespace, name)

    def _path(self, api_version: str, kind: str, namespace: str, name: str) -> str:
        """Return the path of an object, or of all objects of a kind if `name` is ""."""
        resource = self._resource(api_version, kind)
        parts = [_group_path(api_version)]
        if resource.is_namespaced and (namespace or name):
            parts.append(f"namespaces/{quote(namespace or 'default')}")
        parts.append(resource.plural)
        if name:
            parts.append(quote(name))
        return "/".join(parts)

    def _resource(self, api_version: str, kind: str) -> _Resource:
        if (api_version, kind) not in self._resources:
            self._discover(api_version)
        if (api_version, kind) not in self._resources:
            raise NotFoundError(f"The API server does not know {kind} of {api_version}.")
        return self._resources[api_version, kind]

    def _discover(self, api_version: str) -> None:
        """Ask the API server about all kinds of an API version."""
        for resource in self._get_json(_group_path(api_version))["resources"]:
            # With a slash it is a part of another resource, such as pods/log.
            if "/" not in resource["name"]:
                self._resources[api_version, resource["kind"]] = _Resource(
                    resource["name"], resource["namespaced"]
                )

    def _get_text(self, path: str, query: _Query = ()) -> str:
        return self._request("GET", path, query, accept="*/*").decode()

    def _get_json(self, path: str, query: _Query = (), accept: str = _JSON) -> Any:
        return json.loads(self._request("GET", path, query, accept=accept))

    def _write(
        self, method: str, path: str, query: _Query, manifest: Manifest, content_type: str
    ) -> None:
        body = json.dumps(manifest)
        self._request(method, path, query, body=body, content_type=content_type)

    def _request(
        self,
        method: str,
        path: str,
        query: _Query = (),
        *,
        accept: str = _JSON,
        body: str | None = None,
        content_type: str = "",
    ) -> bytes:
        """Return the body of the answer.

        This uses the client's connections, and not its `call_api`: that has another signature in
        every few releases.
        """
        what = f"{method} {path}"
        headers = {"Accept": accept}
        if content_type:
            headers["Content-Type"] = content_type
        try:
            with _connection_errors(self._context, what):
                connection = self._connection()
                answer = connection.pool.request(
                    method,
                    connection.url(path, query),
                    body=body,
                    headers=connection.headers(**headers),
                    timeout=_TIMEOUT,
                    retries=_RETRIES,
                )
        except NotReachableError:
            # The kubeconfig may be written again before the next call.
            self.forget()
            raise
        _raise_for_status(self._context, what, answer)
        return answer.data

    def _connection(self) -> _Connection:
        with self._guard:
            if self._open_connection is None:
                self._open_connection = self._connect()
            return self._open_connection

    def _connect(self) -> _Connection:
        """Open a connection pool for the context. Raises DevenvError if the kubeconfig has none."""
        files = kubeconfig.read()
        files.require(self._context)
        from kubernetes import client  # noqa: PLC0415 - takes 0.4 s, and most commands need none

        settings = client.Configuration()
        # So that a proxy from the kubeconfig can be told from one of the environment.
        settings.proxy = None
        _load(files, self._context, settings)
        _set_proxy(settings, proxied=self._proxied)
        try:
            pool = client.ApiClient(settings).rest_client.pool_manager
        except ImportError as error:
            raise _no_socks(self._context, str(settings.proxy), error) from error
        return _Connection(settings, pool)


def _cluster_entry(settings: Any) -> JsonObject:
    """Return what a kubeconfig says of the API server."""
    cluster: JsonObject = {"server": settings.host}
    cluster |= _embedded_file("certificate-authority-data", settings.ssl_ca_cert)
    if settings.tls_server_name:
        cluster["tls-server-name"] = settings.tls_server_name
    if not settings.verify_ssl:
        cluster["insecure-skip-tls-verify"] = True
    return cluster


def _user_entry(settings: Any) -> dict[str, str]:
    """Return what a kubeconfig says of the user."""
    user = _embedded_file("client-certificate-data", settings.cert_file)
    user |= _embedded_file("client-key-data", settings.key_file)
    if token := authorization(settings):
        user["token"] = token.removeprefix("Bearer ")
    return user


def _embedded_file(key: str, path: str | None) -> dict[str, str]:
    """Return a file's content in a kubeconfig's form; nothing without a path."""
    if not path:
        return {}
    return {key: base64.b64encode(Path(path).read_bytes()).decode()}


def _set_proxy(settings: Any, *, proxied: bool) -> None:
    """Choose as client-go does: `proxy-url` even for loopback, the environment's proxy not.

    The client's own rules are switched off: it knows neither ports nor Go's exemptions.
    """
    proxy = ""
    if proxied:
        proxy = settings.proxy or proxy_for(settings.host, os.environ)
    settings.proxy, settings.no_proxy = proxy or None, ""
    if user := credentials(proxy):
        settings.proxy_headers = urllib3.make_headers(proxy_basic_auth=user)


def _load(files: kubeconfig.Kubeconfig, context: str, settings: Any) -> None:
    """Have the client read the files.

    Raises DevenvError for what only the client finds, such as a missing certificate.
    """
    from kubernetes import config  # noqa: PLC0415 - takes 0.4 s, and most commands need none
    from kubernetes.config.config_exception import ConfigException  # noqa: PLC0415

    paths = [str(document.path) for document in files.documents]
    names = os.pathsep.join(paths)
    try:
        load = partial(config.load_kube_config, names, context, settings)
        _call_with_limit(load, context)
    except (ConfigException, ValueError, TypeError, LookupError, AttributeError, OSError) as error:
        what = f"The kubeconfig's context {context} can't be used."
        fix = f"Correct it in {' or '.join(paths)}."
        raise DevenvError(what, _reason(error), fix, Exit.PREREQUISITE) from error


def _call_with_limit(load: Callable[[], None], context: str) -> None:
    """Call `load`, and raise NotReachableError if that does not end.

    A context may name a program that signs in, for which the client sets no limit. The program is
    left running: it may wait for its user.
    """
    errors: list[Exception] = []

    def call() -> None:
        try:
            load()
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(_SIGN_IN_TIMEOUT)
    if thread.is_alive():
        raise NotReachableError(
            f"The program that signs in to the kubeconfig's context {context} did not end within"
            f" {_SIGN_IN_TIMEOUT:.0f} s.",
            "",
            f"Sign in first: `kubectl --context {context} get namespaces`.",
            Exit.PREREQUISITE,
        )
    if errors:
        raise errors[0]


def _reason(error: Exception) -> str:
    """Return what the client says of a context.

    For a value of the wrong kind the client has only Python's words: then say it in others.
    """
    if isinstance(error, AttributeError | TypeError):
        return (
            "It has a value, or a way to sign in, that devenv can't use."
            " Does `kubectl --context` work with it?"
        )
    return str(error)


def authorization(settings: Any) -> str:
    """Return the header by which a token of the kubeconfig is sent, "" if it has no token.

    Kubernetes' client has it under BearerToken (seen in 37.0), older ones under authorization.
    """
    header = str(settings.get_api_key_with_prefix("BearerToken", alias="authorization") or "")
    if not header or " " in header:
        return header
    return f"Bearer {header}"


def _log_path(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{pod}/log"


def _group_path(api_version: str) -> str:
    """Return the path of an API version: that of the core group differs."""
    if "/" in api_version:
        return f"/apis/{api_version}"
    return f"/api/{api_version}"


def _is_about_the_object(refusal: RefusedError) -> bool:
    """Whether a dry run was refused because of the object, and not because of the dry run."""
    if "does not support dry run" in refusal.why:
        return False
    return (
        refusal.status in _OBJECT_STATUSES or "failed to create typed patch object" in refusal.why
    )


def _raise_for_status(context: str, what: str, answer: urllib3.BaseHTTPResponse) -> None:
    """Raise NotFoundError or RefusedError for an error, with the API server's own words."""
    if answer.status < HTTPStatus.BAD_REQUEST:
        return
    message = answer.data.decode(errors="replace")
    with contextlib.suppress(ValueError, TypeError, KeyError):
        message = str(json.loads(message)["message"])
    if answer.status == HTTPStatus.NOT_FOUND:
        raise NotFoundError(message)
    error = RefusedError(f"The API server of {context} refused {what}: {answer.status}.", message)
    error.status = answer.status
    raise error


@contextlib.contextmanager
def _connection_errors(context: str, what: str) -> Iterator[None]:
    """Turn what the client raises without an answer into NotReachableError."""
    try:
        yield
    except (urllib3.exceptions.HTTPError, yaml.YAMLError, OSError) as error:
        fix = f"Run `devenv up --name {context.removeprefix('kind-')}`."
        if reason := _tls_reason(error):
            what = f"The API server of {context} answers, but not as one that the context trusts."
            raise UntrustedError(what, reason, fix, Exit.UNKNOWN) from error
        what = f"The API server of {context} does not answer {what}."
        raise NotReachableError(what, str(error), fix, Exit.UNKNOWN) from error


def _tls_reason(error: Exception) -> str:
    """Return what a server answered instead of a certificate that is trusted, "" if it did not.

    Docker's own proxy of a port takes connections whatever listens behind it, and then ends them.
    """
    cause = getattr(error, "reason", error)
    is_answer = isinstance(cause, urllib3.exceptions.SSLError) and "EOF" not in str(cause)
    return str(cause) if is_answer else ""


def _no_socks(context: str, proxy: str, error: ImportError) -> DevenvError:
    what = f"Reaching {context} through {without_credentials(proxy)} requires the package PySocks."
    fix = "Install PySocks in devenv's environment."
    return DevenvError(what, str(error), fix, Exit.PREREQUISITE)
