"""Limits of the gateway, and what users send through it."""

import concurrent.futures
from collections.abc import Iterator
from contextlib import contextmanager

from bench.campaign.case import PRINTED_FIX, TAKEN_BACK, Case, Injection
from bench.campaign.injections import GATEWAY, MODELS, applied, deleted, in_order, patched, removed
from bench.campaign.processes import containers_of, send
from bench.campaign.requests import ROUTES, ask, expect
from devenv.base.errors import DevenvError
from devenv.profiles.model import Route
from tests.cluster.lab import Lab

_CLIENTS = "clienttrafficpolicy/aibrix-client-connection-buffersize"
_EXTENSION = "envoyextensionpolicy/aibrix-gateway-plugins-extension-policy"
_PATCHES = "envoypatchpolicy/aibrix-epp"
_ROUTE = "httproute/llama2-7b-router"
_TIMEOUTS = "/spec/rules/0/timeouts"
_PATCHED_TIMEOUT = "/spec/jsonPatches/0/operation/value/route/timeout"
# Seconds for which the model stands still: more than any of Envoy Gateway's own limits.
_STILL = 25.0
_SMALL, _LARGE = 40_000, 5_000_000
_GATEWAY_TIMEOUT = 504
_TOO_LARGE = 413
_BACKEND_POLICY = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "BackendTrafficPolicy",
    "metadata": {"name": "own", "namespace": GATEWAY},
    "spec": {
        "targetRefs": [
            {
                "group": "gateway.networking.k8s.io",
                "kind": "HTTPRoute",
                "name": "llama2-7b-router",
            }
        ],
        "connection": {"bufferLimit": 1024},
        "timeout": {"http": {"requestTimeout": "1s"}},
    },
}


def _answered(route: Route, status: int = 200, size: int = 0, delay: float = 0.0) -> Injection:
    """Return an injection that asks as a user does, once the gateway answers with a status.

    Envoy gets a change of its configuration a moment after the API server has it.
    """

    def inject(lab: Lab) -> None:
        def missing() -> str:
            answer = ask(lab, route, size, delay)
            return "" if answer.status == status else f"{status}; it was {answer.status}"

        lab.eventually(f"an answer by the route {route}", missing, 60)

    return inject


def _asked_while_still(lab: Lab) -> None:
    """Ask on each route while the model's processes stand still; all must be answered at last."""
    with _model_stopped(lab), concurrent.futures.ThreadPoolExecutor(len(ROUTES)) as pool:
        waiting = [pool.submit(ask, lab, route) for route in ROUTES]
        first = concurrent.futures.FIRST_COMPLETED
        done, _ = concurrent.futures.wait(waiting, _STILL, return_when=first)
        if done:
            raise DevenvError("The gateway answered while the model stood still.")
        _resume_model(lab)
        expect(request.result() for request in waiting)


def _stop_model(lab: Lab) -> None:
    send(lab, "STOP", containers_of(lab, MODELS, "llm-engine"))


@contextmanager
def _model_stopped(lab: Lab) -> Iterator[None]:
    _stop_model(lab)
    try:
        yield
    finally:
        _resume_model(lab)


def _resume_model(lab: Lab) -> None:
    send(lab, "CONT", containers_of(lab, MODELS, "llm-engine"))


def _ask_with_small_body(lab: Lab) -> None:
    expect(ask(lab, route, _SMALL) for route in ROUTES)


def _forget_traffic(lab: Lab) -> None:
    """Forget requests that were too large: a new proxy has a new access log."""
    lab.devenv("restart", "proxy")


def _limit(code: str, kind: str, name: str) -> tuple[tuple[str, str], ...]:
    return ((code, f"{kind} {GATEWAY}/{name}"),)


_CLIENT_ROOT = _limit("DE604", "ClientTrafficPolicy", "aibrix-client-connection-buffersize")
_ROUTE_ROOT = _limit("DE604", "HTTPRoute", "llama2-7b-router")
_HEADER = "/spec/jsonPatches/1/operation/value/original_dst_lb_config/http_header_name"
CASES = [
    Case("model's processes are stopped", "traffic", (("DE606", "model"),), _stop_model),
    Case("plugin may not list pods", "traffic", (("DE317", "ServiceAccount"),),
         patched("", "clusterrole/aibrix-gateway-plugins",
                 [{"op": "replace", "path": "/rules/0/verbs", "value": ["get", "watch"]}], "json"),
         PRINTED_FIX),
    Case("patch reads another header", "traffic", (("DE419", "EnvoyPatchPolicy"),),
         patched(GATEWAY, _PATCHES, [{"op": "replace", "path": _HEADER, "value": "other"}], "json")),
    Case("listener of a protocol that does not exist", "traffic", (("DE407", "Gateway"),),
         patched(GATEWAY, "gateway/aibrix-eg",
                 [{"op": "replace", "path": "/spec/listeners/0/protocol", "value": "OTHER"}], "json")),
    Case("model stands still for 25 s", "traffic", (), _asked_while_still, TAKEN_BACK),
    Case("body of 40 KB", "traffic", (), _ask_with_small_body, TAKEN_BACK),
    Case("body of 5 MB", "traffic", _CLIENT_ROOT, _answered(Route.PLAIN, _TOO_LARGE, _LARGE),
         PRINTED_FIX, _forget_traffic),
    Case("route without a timeout", "traffic", _ROUTE_ROOT,
         in_order(patched(GATEWAY, _ROUTE, [{"op": "remove", "path": _TIMEOUTS}], "json"),
                  _answered(Route.DIRECT, _GATEWAY_TIMEOUT, delay=17))),
    Case("route's timeout of 1 s", "traffic", _ROUTE_ROOT,
         in_order(patched(GATEWAY, _ROUTE, [{"op": "add", "path": _TIMEOUTS, "value": {"request": "1s"}}], "json"),
                  _answered(Route.DIRECT, _GATEWAY_TIMEOUT, delay=3))),
    Case("patched route's timeout of 1 s", "traffic", _limit("DE604", "EnvoyPatchPolicy", "aibrix-epp"),
         in_order(patched(GATEWAY, _PATCHES, [{"op": "add", "path": _PATCHED_TIMEOUT, "value": "1s"}], "json"),
                  _answered(Route.EXTENSION, _GATEWAY_TIMEOUT, delay=3))),
    Case("client policy is gone", "traffic", (("DE406", "client-policy"),), deleted(GATEWAY, _CLIENTS)),
    Case("client policy without a buffer", "traffic", _CLIENT_ROOT,
         in_order(patched(GATEWAY, _CLIENTS, {"spec": {"connection": None}}),
                  _answered(Route.PLAIN, _TOO_LARGE, _SMALL))),
    # The route's own timeout counts, and the buffer is for answers.
    Case("backend policy with small limits", "traffic", (),
         in_order(applied(_BACKEND_POLICY), _answered(Route.DIRECT, size=_SMALL, delay=3)),
         TAKEN_BACK, removed(GATEWAY, "backendtrafficpolicy/own")),
    Case("plugin's message timeout of 1 ms", "traffic",
         _limit("DE604", "EnvoyExtensionPolicy", "aibrix-gateway-plugins-extension-policy"),
         patched(GATEWAY, _EXTENSION, [{"op": "add", "path": "/spec/extProc/0/messageTimeout", "value": "1ms"}], "json")),
]  # fmt: skip
