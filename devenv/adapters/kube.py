"""One cluster's API server. Kubernetes' own client does the connection; objects stay the JSON that they are."""

import base64
import contextlib
import importlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3
import yaml

from devenv.adapters import kubeconfig
from devenv.errors import DevenvError, Exit, NotFoundError, NotReachableError
from devenv.network import credentials, proxy_for, without_credentials
from devenv.ports import Manifest

_MANAGER = "devenv"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
# A status that says that the object is wrong, and not who asks or when.
_ABOUT_THE_OBJECT = {
    400,
    422,
}
# Objects of a list that are asked for at once.
_PAGE = 250
# Seconds.
_TIMEOUT = urllib3.Timeout(connect=3, read=20)
_SIGN_IN = (
    # Seconds for the program by which a context signs in; a person may have to answer it.
    60.0
)
# A server that asks to be asked again ("storage is (re)initializing", after a change of CRDs) is asked again, as it says.
_AGAIN = urllib3.Retry(
    total=None, connect=False, read=False, redirect=False, other=False, status=8, status_forcelist=[429], allowed_methods=None,
    backoff_factor=0.2, raise_on_status=False,
)  # fmt: skip


class RefusedError(DevenvError):
    """The API server answered with an error. `status`: the HTTP status."""

    status = 0


class ContextKube:
    """The API server that a context of the user's kubeconfig names.

    `proxied`: whether it is reached as kubectl reaches it, through the context's `proxy-url` or the
    environment's proxy. What kind makes listens on this machine: no proxy leads there.
    """

    def __init__(self, context: str, *, proxied: bool = False) -> None:
        self._context, self._proxied = context, proxied
        self._guard = threading.Lock()
        self._client: tuple[Any, urllib3.PoolManager] | None = None
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    def prepare(self) -> None:
        """Begin to import the client, which takes 0.4 s, while others wait for the engine."""
        threading.Thread(
            target=importlib.import_module, args=["kubernetes.config"], daemon=True
        ).start()

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return bool(self._call("GET", "/readyz", text=True) == "ok")
        except DevenvError:
            return False

    def kubeconfig(self) -> str:
        """Return a kubeconfig with this context alone, as the current one; JSON, keys included."""
        settings = self.settings("its kubeconfig")
        authority = _file("certificate-authority-data", settings.ssl_ca_cert)
        cluster: dict[str, Any] = {"server": settings.host, **authority}
        if settings.tls_server_name:
            cluster["tls-server-name"] = settings.tls_server_name
        if not settings.verify_ssl:
            cluster["insecure-skip-tls-verify"] = True
        user = {
            **_file("client-certificate-data", settings.cert_file),
            **_file("client-key-data", settings.key_file),
        }
        if token := authorization(settings):
            user["token"] = token.removeprefix("Bearer ")
        name = self._context
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }
        return json.dumps(content)

    def server_port(self) -> int:
        """Return the port that the context leads to, 0 where there is no such context."""
        try:
            settings = self.settings("its address")
        except kubeconfig.NoContextError:
            return 0
        return urlsplit(settings.host).port or 0

    def forget(self) -> None:
        """Read the kubeconfig anew before the next call."""
        self._client = None
        self._plurals.clear()

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None:
        """Return the object, None where there is none of that name, or nothing of that kind yet."""
        with contextlib.suppress(NotFoundError):
            manifest: Manifest = self._call("GET", self._path(api_version, kind, namespace, name))
            return manifest
        return None

    def select(
        self, api_version: str, kind: str, namespace: str = "", selector: str = ""
    ) -> list[Manifest]:
        """Return all objects of the kind that the labels select."""
        query = [("labelSelector", selector)] if selector else []
        with contextlib.suppress(NotFoundError):
            answer = self._call("GET", self._path(api_version, kind, namespace, ""), query)
            return list(answer["items"])
        return []

    def each(self, api_version: str, kind: str) -> Iterator[Manifest]:
        """Yield all objects of the kind, page by page."""
        query = [("limit", str(_PAGE))]
        continue_token = ""
        with contextlib.suppress(NotFoundError):
            path = self._path(api_version, kind, "", "")
            while True:
                page = self._call(
                    "GET",
                    path,
                    [*query, *([("continue", continue_token)] if continue_token else [])],
                )
                yield from page["items"]
                continue_token = str((page.get("metadata") or {}).get("continue") or "")
                if not continue_token:
                    return

    def metadata(self, api_version: str, kind: str) -> list[Manifest]:
        """Return all objects of the kind with nothing but their metadata."""
        answer = self._call("GET", self._path(api_version, kind, "", ""), accept=_METADATA)
        return list(answer["items"])

    def node_stats(self, name: str) -> Manifest:
        """Return what a node's kubelet says of its resources, through the API server."""
        stats: Manifest = self._call(
            "GET", f"/api/v1/nodes/{quote(name)}/proxy/stats/summary?only_cpu_and_memory=false"
        )
        return stats

    def apply(self, manifest: Manifest) -> None:
        """Apply one object on the server's side, as the manager `devenv`, taking over what others hold."""
        meta = manifest["metadata"]
        path = self._path(
            manifest["apiVersion"], manifest["kind"], meta.get("namespace", ""), meta["name"]
        )
        query = [("fieldManager", _MANAGER), ("force", "true")]
        self._call("PATCH", path, query, json.dumps(manifest))

    def dry_run(self, manifest: Manifest) -> str:
        """Return why the API server would refuse to apply an object, "" if it would not, or can't say."""
        meta = manifest["metadata"]
        path = self._path(
            manifest["apiVersion"], manifest["kind"], meta.get("namespace", ""), meta["name"]
        )
        query = [("fieldManager", _MANAGER), ("force", "true"), ("dryRun", "All")]
        try:
            self._call("PATCH", path, query, json.dumps(manifest))
        except RefusedError as error:
            is_about_it = (
                error.status in _ABOUT_THE_OBJECT
                or "failed to create typed patch object" in error.why
            )
            return error.why if is_about_it and "does not support dry run" not in error.why else ""
        return ""

    def replace(self, manifest: Manifest) -> None:
        """Put an object in place of the one that is there, so that what others have set in it is gone."""
        meta = manifest["metadata"]
        path = self._path(
            manifest["apiVersion"], manifest["kind"], meta.get("namespace", ""), meta["name"]
        )
        current = self._call("GET", path)["metadata"]
        preserved = {
            k: current[k]
            for k in ("resourceVersion", "ownerReferences", "finalizers")
            if k in current
        }
        body = {**manifest, "metadata": {**meta, **preserved}}
        self._call(
            "PUT", path, [("fieldManager", _MANAGER)], json.dumps(body), form="application/json"
        )

    def merge(self, manifest: Manifest) -> None:
        """Change the fields that are given, and no others, whoever owns them."""
        meta = manifest["metadata"]
        path = self._path(
            manifest["apiVersion"], manifest["kind"], meta.get("namespace", ""), meta["name"]
        )
        body = json.dumps({k: v for k, v in manifest.items() if k not in {"apiVersion", "kind"}})
        self._call(
            "PATCH",
            path,
            [("fieldManager", f"{_MANAGER}-reload")],
            body,
            form="application/merge-patch+json",
        )

    def delete(
        self, api_version: str, kind: str, namespace: str, name: str, *, grace: int | None = None
    ) -> None:
        """Ask for an object's removal, with all that it owns; nothing where there is none. It may take its time to go.

        `grace`: seconds that a pod's containers get to end; by their own wish unless told.
        """
        query = [
            ("propagationPolicy", "Background"),
            *([("gracePeriodSeconds", str(grace))] if grace is not None else []),
        ]
        with contextlib.suppress(NotFoundError):
            self._call("DELETE", self._path(api_version, kind, namespace, name), query)

    def logs(
        self, namespace: str, pod: str, container: str, since_seconds: int, tail: int,
        *, timestamps: bool = False, previous: bool = False, head: int = 0,
    ) -> str:  # fmt: skip
        """Return the last lines of a container's log; with `head`, its first bytes instead. 0 sets no limit."""
        query = [
            ("container", container),
            ("timestamps", str(timestamps).lower()),
            ("previous", str(previous).lower()),
        ]
        limits = (("sinceSeconds", since_seconds), ("tailLines", tail), ("limitBytes", head))
        query += [(name, str(value)) for name, value in limits if value]
        return str(self._call("GET", _log_path(namespace, pod), query, text=True))

    def follow(self, namespace: str, pod: str, container: str, since_seconds: int) -> Iterator[str]:
        """Yield the lines of a container's log, with timestamps, as they are written, until the container ends."""
        query = [
            ("container", container),
            ("timestamps", "true"),
            ("follow", "true"),
            ("sinceSeconds", str(since_seconds)),
        ]
        what = f"GET {_log_path(namespace, pod)}"
        with _errors(self._context, what):
            settings, pool = self._connection()
            token = authorization(settings)
            answer = pool.request(
                "GET", f"{settings.host}{_log_path(namespace, pod)}?{urlencode(query)}",
                headers={"Authorization": token} if token else {}, preload_content=False,
                timeout=urllib3.Timeout(connect=3, read=None),
            )  # fmt: skip
            if answer.status >= 400:  # noqa: PLR2004
                _refuse(self._context, what, answer)
            yield from (line.decode(errors="replace").rstrip("\n") for line in answer)

    def settings(self, what: str) -> Any:
        """Return what the kubeconfig says of the connection. Raises NotReachableError, about `what`, where it has none."""
        with _errors(self._context, what):
            return self._connection()[0]

    def _path(self, api_version: str, kind: str, namespace: str, name: str) -> str:
        plural, namespaced = self._plural(api_version, kind)
        parts = [_root(api_version)]
        if namespaced and (namespace or name):
            parts.append(f"namespaces/{quote(namespace or 'default')}")
        parts += [plural, *([quote(name)] if name else [])]
        return "/".join(parts)

    def _plural(self, api_version: str, kind: str) -> tuple[str, bool]:
        """Return the kind's name in paths and whether it is namespaced, as the API server tells."""
        if (api_version, kind) not in self._plurals:
            for resource in self._call("GET", _root(api_version))["resources"]:
                if "/" not in resource["name"]:
                    self._plurals[api_version, resource["kind"]] = (
                        resource["name"],
                        resource["namespaced"],
                    )
        if (api_version, kind) not in self._plurals:
            raise NotFoundError(f"The cluster knows no {kind} of {api_version}.")
        return self._plurals[api_version, kind]

    def _call(
        self, method: str, path: str, query: Sequence[tuple[str, str]] = (), body: str | None = None,
        *, text: bool = False, form: str = "application/apply-patch+yaml", accept: str = "application/json",
    ) -> Any:  # fmt: skip
        """Use the client's own connections: its `call_api` has another signature in every few releases."""
        headers = {"Accept": "*/*" if text else accept}
        if body:
            headers["Content-Type"] = form
        try:
            with _errors(self._context, f"{method} {path}"):
                settings, pool = self._connection()
                if token := authorization(settings):
                    headers["Authorization"] = token
                url = f"{settings.host}{path}{'?' + urlencode(query) if query else ''}"
                answer = pool.request(
                    method, url, body=body, headers=headers, timeout=_TIMEOUT, retries=_AGAIN
                )
        except NotReachableError:
            # The kubeconfig may be written anew before the next call.
            self.forget()
            raise
        _refuse(self._context, f"{method} {path}", answer)
        data = answer.data.decode()
        return data if text else json.loads(data)

    def _connection(self) -> tuple[Any, urllib3.PoolManager]:
        with self._guard:
            if self._client is None:
                files = kubeconfig.read()
                files.require(self._context)
                from kubernetes import client  # noqa: PLC0415 - takes 0.4 s, and most commands need none

                settings = client.Configuration()
                # So a proxy from the kubeconfig can be told from one of the environment.
                settings.proxy = None
                _load(files, self._context, settings)
                _set_proxy(settings, proxied=self._proxied)
                try:
                    pool = client.ApiClient(settings).rest_client.pool_manager
                except ImportError as error:
                    raise _no_socks(self._context, str(settings.proxy), error) from error
                self._client = (settings, pool)
            return self._client


def _set_proxy(settings: Any, *, proxied: bool) -> None:
    """Choose as client-go does: `proxy-url` applies to every address, the environment's proxy not to loopback.

    The client's own rules are switched off: it knows neither ports nor Go's exemptions.
    """
    proxy = (settings.proxy or proxy_for(settings.host, os.environ)) if proxied else ""
    settings.proxy, settings.no_proxy = proxy or None, ""
    if user := credentials(proxy):
        settings.proxy_headers = urllib3.make_headers(proxy_basic_auth=user)


def _load(files: kubeconfig.Kubeconfig, context: str, settings: Any) -> None:
    """Have the client read the files. Raises DevenvError for what only the client finds, such as a missing certificate."""
    from kubernetes import config  # noqa: PLC0415 - as above
    from kubernetes.config.config_exception import ConfigException  # noqa: PLC0415

    names = os.pathsep.join(str(document.path) for document in files.documents)
    try:
        _within_limit(lambda: config.load_kube_config(names, context, settings), context)  # type: ignore[no-untyped-call]
    except (ConfigException, ValueError, TypeError, LookupError, AttributeError, OSError) as error:
        what = f"The kubeconfig's context {context} can't be used."
        fix = f"Correct it in {' or '.join(names.split(os.pathsep))}."
        raise DevenvError(what, _reason(error), fix, Exit.PREREQUISITE) from error


def _within_limit(load: Callable[[], None], context: str) -> None:
    """Load, and raise NotReachableError where that does not end: a context may name a program that signs in.

    The client sets that program no limit. It is left to itself: it may wait for its user.
    """
    errors: list[Exception] = []

    def run() -> None:
        try:
            load()
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_SIGN_IN)
    if thread.is_alive():
        what = f"The program that signs in to the kubeconfig's context {context} did not end within {_SIGN_IN:.0f} s."
        raise NotReachableError(
            what,
            "",
            f"Sign in first: `kubectl --context {context} get namespaces`.",
            Exit.PREREQUISITE,
        )
    if errors:
        raise errors[0]


def _reason(error: Exception) -> str:
    """Return what the client says of a context, in other words where it stumbles over a value of a wrong kind."""
    if isinstance(error, AttributeError | TypeError):
        return "It has a value, or a way to sign in, that devenv can't use; does `kubectl --context` work with it?"
    return str(error)


def authorization(settings: Any) -> str:
    """Return the header by which a token of the kubeconfig is sent, "" where it has none.

    Kubernetes' client has it under BearerToken (seen in 37.0), older ones under authorization.
    """
    header = str(settings.get_api_key_with_prefix("BearerToken", alias="authorization") or "")
    return header if not header or " " in header else f"Bearer {header}"


def _file(key: str, path: str | None) -> dict[str, Any]:
    """Return a file's content in a kubeconfig's form; nothing if there is no file."""
    return {key: base64.b64encode(Path(path).read_bytes()).decode()} if path else {}


def _log_path(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{pod}/log"


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _refuse(context: str, what: str, answer: urllib3.BaseHTTPResponse) -> None:
    if answer.status < 400:  # noqa: PLR2004
        return
    message = answer.data.decode(errors="replace")
    with contextlib.suppress(ValueError, TypeError, KeyError):
        message = str(json.loads(message)["message"])
    if answer.status == 404:  # noqa: PLR2004
        raise NotFoundError(message)
    error = RefusedError(f"The API server of {context} refused {what}: {answer.status}.", message)
    error.status = answer.status
    raise error


@contextlib.contextmanager
def _errors(context: str, what: str) -> Iterator[None]:
    try:
        yield
    except (urllib3.exceptions.HTTPError, yaml.YAMLError, OSError) as error:
        raise _silent(context, what, error) from error


def _no_socks(context: str, proxy: str, error: ImportError) -> DevenvError:
    what = f"Reaching {context} through {without_credentials(proxy)} takes the package PySocks."
    fix = "Install PySocks in devenv's environment."
    return DevenvError(what, str(error), fix, Exit.PREREQUISITE)


def _silent(context: str, what: str, error: Exception) -> NotReachableError:
    message = f"The API server of {context} does not answer {what}."
    fix = f"Run `devenv up --name {context.removeprefix('kind-')}`."
    return NotReachableError(message, str(error), fix, Exit.UNKNOWN)
