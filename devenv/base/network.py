"""Network proxies and certificate authorities, as the user's environment names them.

Go's rules decide which servers are asked through a proxy (golang.org/x/net/http/httpproxy), since
kubectl, kind, Docker and Go itself follow them. Python's libraries have other rules: they send
127.0.0.1 through a proxy unless NO_PROXY names it.
"""

import ipaddress
import re
from collections.abc import Mapping
from enum import Enum
from urllib.parse import unquote, urlsplit

from devenv.ports.processes import Environment

# Variables that name a proxy, in lower case; each has a twin in upper case.
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy")
# All that concerns proxies, in both cases.
_PROXY_VARIABLES = tuple(
    name for proxy in (*_PROXIES, "no_proxy") for name in (proxy, proxy.upper())
)
_PORTS = {"http": 80, "https": 443}
# What devenv adds to NO_PROXY.
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
    *_PROXY_VARIABLES,
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
    """Whether a name or address, without a port, is the loopback."""
    name = host.strip("[]").lower()
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def proxy_for(url: str, environment: Environment) -> str:
    """Return the proxy through which a Go program asks `url`; "" if it asks directly."""
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
    """Return the user and password in a proxy's address as "user:password", "" if it has none."""
    parts = urlsplit(proxy)
    if not parts.username:
        return ""
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}"


def without_credentials(url: str) -> str:
    """Return an address without its user and password, so that it may be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def ca_variable(environment: Environment) -> str:
    """Return which variable names the user's certificate authorities, "" if none does."""
    return next((name for name in CA_VARIABLES if environment.get(name)), "")


def variables_for_children(environment: Environment) -> Environment:
    """Return the variables that programs started by devenv need besides the environment.

    wget reads the lower case alone, others the upper case. Loopback is exempt from every proxy.
    Each program looks for certificates under a name of its own. What the user has set is not
    changed, except that loopback joins NO_PROXY.
    """
    added_variables: dict[str, str] = {}
    proxies = {name: _value(environment, name) for name in _PROXIES}
    for name, proxy in proxies.items():
        added_variables |= _missing_cases(environment, name, proxy)
    if any(proxies.values()):
        exemptions = _exemptions_with_loopback(environment)
        added_variables |= {"NO_PROXY": exemptions, "no_proxy": exemptions}
    if bundle := environment.get(ca_variable(environment), ""):
        unset_names = (name for name in CA_VARIABLES if not environment.get(name))
        added_variables |= dict.fromkeys(unset_names, bundle)
    return added_variables


def _missing_cases(environment: Environment, name: str, value: str) -> Environment:
    """Return a variable with that value in each case, lower or upper, in which it is not set."""
    if not value:
        return {}
    return {case: value for case in (name, name.upper()) if not environment.get(case)}


def _exemptions_with_loopback(environment: Environment) -> str:
    entries = [entry.strip() for entry in _value(environment, "no_proxy").split(",")]
    entries = list(filter(None, entries))
    entries += [name for name in _LOOPBACK if name not in entries]
    return ",".join(entries)


def build_arguments(environment: Environment) -> dict[str, str]:
    """Return the proxies as build arguments.

    Every Dockerfile has these arguments without declaring them, and neither a layer nor the history
    keeps their values (docs.docker.com, "Predefined ARGs").
    """
    variables = {**environment, **variables_for_children(environment)}
    return {name: variables[name] for name in _PROXY_VARIABLES if variables.get(name)}


def is_on_loopback(arguments: Mapping[str, str]) -> bool:
    """Whether one of the proxies among build arguments listens on the host's loopback alone."""
    proxies = filter(None, map(arguments.get, _PROXIES))
    return any(is_loopback(urlsplit(_with_scheme(proxy)).hostname or "") for proxy in proxies)


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
        """Whether the server will give no other file either."""
        return self in {
            Trouble.PROXY,
            Trouble.LIMITED,
            Trouble.BROKEN,
            Trouble.UNTRUSTED,
            Trouble.SILENT,
        }


_STATUS = r"(status|HTTP|code|error)\D{0,20}"
# In the words of Docker, containerd, Go, Python, pip and curl. The first match counts.
_PATTERNS = (
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
_TROUBLE_BY_STATUS = {
    401: Trouble.UNAUTHORIZED,
    403: Trouble.FORBIDDEN,
    407: Trouble.PROXY,
    429: Trouble.LIMITED,
}
_FIRST_SERVER_ERROR = 500


def trouble_of(text: str) -> Trouble:
    """Return what a client's message says about the server that it asked."""
    for trouble, pattern in _PATTERNS:
        if re.search(pattern, text, re.IGNORECASE):
            return trouble
    return Trouble.SILENT


def trouble_of_status(status: int) -> Trouble:
    """Return what an HTTP status of 400 or more says."""
    if status >= _FIRST_SERVER_ERROR:
        return Trouble.BROKEN
    return _TROUBLE_BY_STATUS.get(status, Trouble.ABSENT)


def remedy(trouble: Trouble, server: str, environment: Environment) -> str:
    """Return what a user can do about a server that devenv, pip or Go asks; "" if nothing helps."""
    proxy = proxy_for(f"https://{server}", environment)
    shown_proxy = without_credentials(proxy) or "not set for this server"
    remedies = {
        Trouble.UNAUTHORIZED: f"Put credentials for {server} into ~/.netrc.",
        Trouble.FORBIDDEN: f"Ask the administrator of {server}, or of your proxy, for access.",
        Trouble.PROXY: (
            f"Check HTTPS_PROXY ({shown_proxy}): does the proxy run, and does it need a password?"
        ),
        Trouble.LIMITED: "Try again later.",
        Trouble.BROKEN: "Try again later.",
        Trouble.UNTRUSTED: (
            "Set SSL_CERT_FILE to the file with your company's certificate authority."
        ),
        Trouble.SILENT: f"Check the network and HTTPS_PROXY ({shown_proxy}).",
    }
    return remedies.get(trouble, "")


def _with_scheme(proxy: str) -> str:
    """Return a proxy's address with its scheme, which may be left out for http."""
    if "://" in proxy:
        return proxy
    return f"http://{proxy}"


def hint(output: str, server: str, environment: Environment) -> str:
    """Return what a program's output says about a server that refused it, and what to do.

    The result is "" if the output says nothing clear.
    """
    trouble = trouble_of(output)
    if trouble in {Trouble.SILENT, Trouble.ABSENT}:
        return ""
    return f"{server} {trouble.value}. {remedy(trouble, server, environment)}"


def _value(environment: Environment, name: str) -> str:
    """Return a variable in upper case, else in lower case; "" if neither is set."""
    return (environment.get(name.upper()) or environment.get(name) or "").strip()


def _is_exempt(host: str, port: str, no_proxy: str) -> bool:
    return any(_covers(entry.strip().lower(), host, port) for entry in no_proxy.split(","))


def _covers(entry: str, host: str, port: str) -> bool:
    """Whether an entry of NO_PROXY covers a host.

    An entry is "*", a CIDR, or a name or an address, which may have a port.
    """
    if entry == "*":
        return True
    if "/" in entry:
        return _is_within(host, entry)
    name, entry_port = _split_port(entry)
    if not name or entry_port not in {"", port}:
        return False
    if _is_address(name) or _is_address(host):
        return _is_address(name) and _is_within(host, name)
    return _is_domain_of(name.removeprefix("*"), host)


def _is_domain_of(domain: str, host: str) -> bool:
    """Whether a host is in a domain. A domain that begins with a dot does not name itself."""
    if domain.startswith("."):
        return host.endswith(domain)
    return host == domain or host.endswith(f".{domain}")


def _split_port(entry: str) -> tuple[str, str]:
    """Split an entry into name and port. An IPv6 address without brackets has no port."""
    if match := re.fullmatch(r"\[(.*)\](?::(\d+))?", entry):
        return match[1], match[2] or ""
    name, separator, port = entry.rpartition(":")
    if separator and ":" not in name:
        return name, port
    return entry, ""


def _is_within(host: str, network: str) -> bool:
    """Whether an address is in a network. A name never is, nor is anything if it is malformed."""
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
