"""Proxies and certificate authorities, as the user's environment names them.

Go's rules decide who is asked through a proxy (golang.org/x/net/http/httpproxy), since kubectl, kind, Docker and Go
itself follow them. Python's libraries have others: they send 127.0.0.1 through a proxy unless NO_PROXY names it.
"""

import ipaddress
import re
from collections.abc import Mapping
from enum import Enum
from urllib.parse import unquote, urlsplit

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy")
_PORTS = {"http": 80, "https": 443}
_LOOPBACK = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
# Where programs look for the certificates of authorities, the most general one first.
CA_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
)
# All network settings that programs started by devenv get.
VARIABLES = (
    *(name for proxy in (*_PROXIES, "no_proxy") for name in (proxy, proxy.upper())),
    *CA_VARIABLES,
    "SSL_CERT_DIR",
    "GOPROXY",
    "GOPRIVATE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOSUMDB",
    "GOINSECURE",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_CONFIG_FILE",
)


def is_loopback(host: str) -> bool:
    """Whether a host, without its port, is this machine's loopback."""
    name = host.strip("[]").lower()
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def proxy_for(url: str, environment: Mapping[str, str]) -> str:
    """Return the address of the proxy through which a Go program asks `url`; "" where it asks directly."""
    try:
        parts = urlsplit(url)
        port = str(parts.port or _PORTS[parts.scheme])
    except (ValueError, KeyError):
        return ""
    host = (parts.hostname or "").lower()
    proxy = _value(environment, f"{parts.scheme}_proxy")
    if not proxy or is_loopback(host) or _is_exempt(host, port, _value(environment, "no_proxy")):
        return ""
    return _with_scheme(proxy)


def credentials(proxy: str) -> str:
    """Return the user and password in a proxy's address as "user:password", "" where it has none."""
    parts = urlsplit(proxy)
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""


def without_credentials(url: str) -> str:
    """Return an address without its user and password, so that it may be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def ca_variable(environment: Mapping[str, str]) -> str:
    """Return the name of the variable that names the user's certificate authorities, "" where there is none."""
    return next((name for name in CA_VARIABLES if environment.get(name)), "")


def for_children(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that programs started by devenv need besides the environment.

    wget reads the lower case alone, others the upper case; loopback is exempt from every proxy; and each program looks
    for certificates under another name. A variable that the user has set stays as it is.
    """
    added: dict[str, str] = {}
    for proxy in _PROXIES:
        added |= _both_cases(environment, proxy, _value(environment, proxy))
    if any(_value(environment, proxy) for proxy in _PROXIES):
        exempt = [
            entry.strip() for entry in _value(environment, "no_proxy").split(",") if entry.strip()
        ]
        exempt += [entry for entry in _LOOPBACK if entry not in exempt]
        added |= {"NO_PROXY": ",".join(exempt), "no_proxy": ",".join(exempt)}
    if bundle := environment.get(ca_variable(environment), ""):
        added |= {name: bundle for name in CA_VARIABLES if not environment.get(name)}
    return added


def build_arguments(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies as build arguments.

    Every Dockerfile knows these names without declaring them, and neither a layer nor the history
    keeps their values (docs.docker.com, "Predefined ARGs").
    """
    names = [name for proxy in (*_PROXIES, "no_proxy") for name in (proxy, proxy.upper())]
    full = {**environment, **for_children(environment)}
    return {name: full[name] for name in names if full.get(name)}


def is_on_loopback(arguments: Mapping[str, str]) -> bool:
    """Whether one of the proxies among build arguments listens on this machine's loopback alone."""
    proxies = [arguments[proxy] for proxy in _PROXIES if arguments.get(proxy)]
    addresses = [urlsplit(_with_scheme(proxy)) for proxy in proxies]
    return any(is_loopback(address.hostname or "") for address in addresses)


class Trouble(Enum):
    """Why a server gives nothing. The value is the predicate of a sentence about the server."""

    UNAUTHORIZED = "requires credentials (401)"
    FORBIDDEN = "refuses access (403)"
    PROXY = "can't be reached through the proxy"
    LIMITED = "limits requests (429)"
    BROKEN = "has an internal error (5xx)"
    UNTRUSTED = "has a certificate from an unknown authority"
    ABSENT = "does not have it"
    SILENT = "does not answer"

    @property
    def concerns_all(self) -> bool:
        """Whether the server's other files are out of reach, too."""
        return self in {
            Trouble.PROXY,
            Trouble.LIMITED,
            Trouble.BROKEN,
            Trouble.UNTRUSTED,
            Trouble.SILENT,
        }


# In the words of Docker, containerd, Go, Python, pip and curl; the first that matches counts.
_STATUS = r"(status|HTTP|code|error)\D{0,20}"
_WORDS = (
    (
        Trouble.UNTRUSTED,
        r"x509|certificate.verify.failed|unknown authority|self.signed certificate",
    ),
    (
        Trouble.PROXY,
        r"proxyconnect|proxy authentication|connect to proxy|ProxyError|tunnel connection",
    ),
    (Trouble.LIMITED, rf"toomanyrequests|too many requests|too many 429|rate limit|{_STATUS}429"),
    (Trouble.BROKEN, rf"{_STATUS}5\d\d\b|too many 5\d\d|internal server error|bad gateway"),
    (Trouble.BROKEN, r"service unavailable|gateway time-?out"),
    (Trouble.UNAUTHORIZED, rf"unauthorized|authentication required|basic auth cred|{_STATUS}401"),
    (Trouble.FORBIDDEN, rf"denied|forbidden|{_STATUS}403"),
    (Trouble.ABSENT, rf"not found|manifest unknown|no matching|does not exist|{_STATUS}404"),
)


def trouble_of(text: str) -> Trouble:
    """Return what a client's message says about the server that it asked."""
    return next(
        (trouble for trouble, words in _WORDS if re.search(words, text, re.IGNORECASE)),
        Trouble.SILENT,
    )


def trouble_of_status(status: int) -> Trouble:
    """Return what an HTTP status of 400 or more says."""
    exact = {
        401: Trouble.UNAUTHORIZED,
        403: Trouble.FORBIDDEN,
        407: Trouble.PROXY,
        429: Trouble.LIMITED,
    }
    return exact.get(status) or (Trouble.BROKEN if status >= 500 else Trouble.ABSENT)  # noqa: PLR2004


def way_out(trouble: Trouble, server: str, environment: Mapping[str, str]) -> str:
    """Return what a user can do about a server that devenv, pip or Go asks; "" where nothing is known."""
    proxy = (
        without_credentials(proxy_for(f"https://{server}", environment))
        or "not set for this server"
    )
    ways = {
        Trouble.UNAUTHORIZED: f"Put credentials for {server} into ~/.netrc.",
        Trouble.FORBIDDEN: f"Ask whoever runs {server}, or your proxy, for access.",
        Trouble.PROXY: f"Check HTTPS_PROXY ({proxy}): does the proxy run, and does it need a password?",
        Trouble.LIMITED: "Try again later.",
        Trouble.BROKEN: "Try again later.",
        Trouble.UNTRUSTED: "Set SSL_CERT_FILE to the file with your company's certificate authority.",
        Trouble.SILENT: f"Check the network and HTTPS_PROXY ({proxy}).",
    }
    return ways.get(trouble, "")


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def hint(output: str, server: str, environment: Mapping[str, str]) -> str:
    """Return what a program's output says about a server that refused it, and what to do; "" if it says nothing clear."""
    trouble = trouble_of(output)
    if trouble in {Trouble.SILENT, Trouble.ABSENT}:
        return ""
    return f"{server} {trouble.value}. {way_out(trouble, server, environment)}"


def _value(environment: Mapping[str, str], name: str) -> str:
    return (environment.get(name.upper()) or environment.get(name) or "").strip()


def _both_cases(environment: Mapping[str, str], name: str, value: str) -> dict[str, str]:
    return {case: value for case in (name, name.upper()) if value and not environment.get(case)}


def _is_exempt(host: str, port: str, no_proxy: str) -> bool:
    return any(_exempts(entry.strip().lower(), host, port) for entry in no_proxy.split(","))


def _exempts(entry: str, host: str, port: str) -> bool:
    """Whether one entry of NO_PROXY names a host: "*", a CIDR, or a name or an address, which may have a port."""
    if entry == "*":
        return True
    if "/" in entry:
        return _is_within(host, entry)
    name, own_port = _divided(entry)
    if not name or own_port not in {"", port}:
        return False
    if _is_address(name) or _is_address(host):
        return _is_address(name) and _is_within(host, name)
    name = name.removeprefix("*")
    return (
        host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")
    )


def _divided(entry: str) -> tuple[str, str]:
    """Divide an entry into name and port; an IPv6 address without brackets has none."""
    if match := re.fullmatch(r"\[(.*)\](?::(\d+))?", entry):
        return match[1], match[2] or ""
    name, separator, port = entry.rpartition(":")
    return (name, port) if separator and ":" not in name else (entry, "")


def _is_within(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
