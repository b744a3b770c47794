import pytest

from devenv.base import network
from devenv.base.network import (
    Trouble,
    build_arguments,
    is_on_loopback,
    proxy_for,
    trouble_of,
    variables_for_children,
)

PROXY = "http://proxy.corp:3128"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "[::1]", "LOCALHOST"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_loopback_is_asked_directly_whatever_no_proxy_says(scheme, host):
    environment = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "NO_PROXY": "example.com"}
    assert proxy_for(f"{scheme}://{host}:6443/x", environment) == ""


# The answers of Go 1.26's golang.org/x/net/http/httpproxy, read in its tests and its source.
@pytest.mark.parametrize(("no_proxy", "host", "proxied"), [
    ("", "api.corp", True),
    ("*", "api.corp", False),
    ("corp", "api.corp", False),
    ("corp", "corp", False),
    ("corp", "notcorp", True),
    (".corp", "api.corp", False),
    (".corp", "corp", True),
    ("*.corp", "api.corp", False),
    ("*.corp", "corp", True),
    ("API.corp", "api.CORP", False),
    ("10.0.0.0/8", "10.1.2.3", False),
    ("10.0.0.0/8", "11.1.2.3", True),
    ("10.0.0.0/8", "ten.corp", True),
    ("10.1.2.3", "10.1.2.3", False),
    ("api.corp:6443", "api.corp:6443", False),
    ("api.corp:6443", "api.corp:443", True),
    ("api.corp:443", "api.corp", False),
    ("10.1.2.3:6443", "10.1.2.3:6443", False),
    ("[fd00::1]:6443", "[fd00::1]:6443", False),
    ("fd00::/8", "[fd00::1]", False),
    ("fd00::1", "[fd00::1]", False),
    (" a.corp , b.corp ", "b.corp", False),
    ("2.3", "10.1.2.3", True),
    (":6443", "api.corp:6443", True),
])  # fmt: skip
def test_no_proxy_means_what_it_means_to_kubectl(no_proxy, host, proxied):
    environment = {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}
    assert proxy_for(f"https://{host}/x", environment) == (PROXY if proxied else "")


@pytest.mark.parametrize(("environment", "proxy"), [
    ({"https_proxy": "p:1"}, "http://p:1"),
    ({"HTTPS_PROXY": "socks5://p:1", "https_proxy": "q:1"}, "socks5://p:1"),
    ({"HTTP_PROXY": PROXY, "ALL_PROXY": PROXY}, ""),
    ({}, ""),
])  # fmt: skip
def test_the_scheme_chooses_the_variable(environment, proxy):
    assert proxy_for("https://api.corp", environment) == proxy


@pytest.mark.parametrize("url", ["https://x:99999/", "https://[::1/", "ftp://x/", ""])
def test_no_proxy_leads_to_what_is_no_address(url):
    assert proxy_for(url, {"HTTPS_PROXY": PROXY, "FTP_PROXY": PROXY}) == ""


def test_children_get_both_cases_and_loopback_is_exempt():
    added = variables_for_children({"HTTPS_PROXY": PROXY, "no_proxy": "corp, 127.0.0.1"})
    assert added["https_proxy"] == PROXY
    assert "HTTPS_PROXY" not in added
    assert added["NO_PROXY"] == added["no_proxy"]
    entries = added["NO_PROXY"].split(",")
    assert entries[:2] == ["corp", "127.0.0.1"]
    assert {"localhost", "::1"} <= set(entries)
    assert entries.count("127.0.0.1") == 1


def test_without_a_proxy_children_get_nothing():
    assert variables_for_children({"PATH": "/bin", "NO_PROXY": "corp"}) == {}


@pytest.mark.parametrize("variable", network.CA_VARIABLES)
def test_each_program_gets_the_users_authorities_by_its_own_name(variable):
    environment = {variable: "/ca.pem"}
    assert {**environment, **variables_for_children(environment)} == dict.fromkeys(
        network.CA_VARIABLES, "/ca.pem"
    )


def test_a_bundle_that_is_set_stays():
    assert "PIP_CERT" not in variables_for_children({"SSL_CERT_FILE": "/a", "PIP_CERT": "/b"})


def test_builds_get_the_proxies_alone():
    arguments = build_arguments({"HTTPS_PROXY": PROXY, "SSL_CERT_FILE": "/ca.pem", "PATH": "/bin"})
    assert set(arguments) == {"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"}
    assert build_arguments({"NO_PROXY": ""}) == {}


@pytest.mark.parametrize(("proxy", "is_local"), [
    ("http://127.0.0.1:3128", True), ("localhost:3128", True), (PROXY, False),
])  # fmt: skip
def test_a_proxy_on_loopback_is_known(proxy, is_local):
    assert is_on_loopback(build_arguments({"HTTPS_PROXY": proxy})) is is_local


@pytest.mark.parametrize(("words", "trouble"), [
    ('Get "https://r/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority', Trouble.UNTRUSTED),
    ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in chain", Trouble.UNTRUSTED),
    ("proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused", Trouble.PROXY),
    ("Cannot connect to proxy. OSError('Tunnel connection failed: 407 Proxy Authentication Required')", Trouble.PROXY),
    ("toomanyrequests: You have reached your unauthenticated pull rate limit.", Trouble.LIMITED),
    ("received unexpected HTTP status: 503 Service Unavailable", Trouble.BROKEN),
    ("error parsing HTTP 500 response body: invalid character", Trouble.BROKEN),
    ('Head "https://r/v2/x/manifests/1": unauthorized: authentication required', Trouble.UNAUTHORIZED),
    ("unexpected status from HEAD request to https://r/v2/x: 401 Unauthorized", Trouble.UNAUTHORIZED),
    ("pull access denied for x, repository does not exist or may require 'docker login'", Trouble.FORBIDDEN),
    ('error parsing HTTP 403 response body: unexpected end of JSON input: ""', Trouble.FORBIDDEN),
    ("manifest for r/x:1 not found: manifest unknown: manifest unknown", Trouble.ABSENT),
    ("dial tcp: lookup registry on 10.0.0.2:53: no such host", Trouble.SILENT),
    ("net/http: request canceled while waiting for connection (Client.Timeout exceeded)", Trouble.SILENT),
    ("", Trouble.SILENT),
])  # fmt: skip
def test_what_clients_say_is_understood(words, trouble):
    assert trouble_of(words) is trouble


def test_a_password_in_a_proxys_address_is_not_shown():
    environment = {"HTTPS_PROXY": "http://me:hush@proxy.corp:3128"}
    for trouble in Trouble:
        assert "hush" not in network.remedy(trouble, "example.com", environment)
    assert network.credentials("http://me:hu%40sh@proxy.corp:3128") == "me:hu@sh"


@pytest.mark.parametrize(("output", "told"), [
    ("x509: certificate signed by unknown authority", True),
    ("cannot find module providing package x: not found", False),
    ("undefined: x", False),
])  # fmt: skip
def test_only_a_plain_refusal_makes_a_hint(output, told):
    assert bool(network.hint(output, "proxy", {})) is told
