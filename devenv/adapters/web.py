"""Downloads. `requests` is what Docker's own client uses already; it knows proxies and certificates."""

import errno
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from devenv.errors import DevenvError, Exit, NotReachableError
from devenv.network import ca_variable, is_loopback, trouble_of, trouble_of_status, way_out

# Seconds to connect, and of silence.
_TIMEOUT = (5, 30)
# Seconds for one file.
_LONGEST = 900.0
# Times that an answer may break off.
_AGAIN = 3
_BY_HAND = "Or download it by hand and name the file in the profile."
# Bytes.
_PIECE = 1 << 18
_TRIES = Retry(
    total=3,
    backoff_factor=0.5,
    status_forcelist=(429, 502, 503, 504),
    respect_retry_after_header=False,
)


class HttpWeb:
    """The web, by GET."""

    def fetch(self, url: str, target: Path, progress: Callable[[int, int], None]) -> None:
        """Write what the address gives to `target`. `progress` gets bytes so far and in all, 0 where that is unknown.

        An answer that breaks off is asked for again, from its beginning.
        """
        end = time.monotonic() + _LONGEST
        for attempts_left in reversed(range(_AGAIN)):
            try:
                self._once(url, target, progress, end)
            except NotReachableError:
                if not attempts_left or not target.stat().st_size or time.monotonic() > end:
                    raise
            else:
                return

    @staticmethod
    def _once(url: str, target: Path, progress: Callable[[int, int], None], end: float) -> None:
        try:
            with (
                target.open("wb") as file,
                _session(url, _TRIES) as session,
                session.get(url, stream=True, timeout=_TIMEOUT) as answer,
            ):
                answer.raise_for_status()
                _receive(url, answer, file, progress, end)
        except requests.HTTPError as error:
            raise _refused(url, error) from error
        except (
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
            # requests' own errors are OSErrors, too.
        ) as error:
            if isinstance(error, OSError) and error.errno in {
                errno.ENOSPC,
                errno.EDQUOT,
                errno.EROFS,
            }:
                raise DevenvError(
                    f"{target} can't be written.", str(error), "Is the disk full?"
                ) from error
            raise _silent(url, error) from error

    def problem(self, url: str) -> str:
        """Return why the address gives nothing, "" where it does, as its server says at once."""
        server = urlsplit(url).netloc
        try:
            with _session(url, Retry(0)) as session:
                status = session.head(url, timeout=_TIMEOUT[0], allow_redirects=True).status_code
        except (requests.RequestException, OSError, ValueError) as error:
            return f"{server} {trouble_of(str(error)).value}"
        return (
            f"{server} {trouble_of_status(status).value}"
            if status >= requests.codes.bad_request
            else ""
        )


def _receive(
    url: str,
    answer: requests.Response,
    file: BinaryIO,
    progress: Callable[[int, int], None],
    end: float,
) -> None:
    total = int(answer.headers.get("content-length", 0))
    # What is there, not only whole pieces.
    while chunk := answer.raw.read1(_PIECE, decode_content=True):
        file.write(chunk)
        progress(file.tell(), total)
        if time.monotonic() > end:
            raise NotReachableError(
                f"{url} took longer than {_LONGEST:.0f} s.", exit_code=Exit.PREREQUISITE
            )
    if "content-encoding" not in answer.headers and file.tell() < total:
        raise urllib3.exceptions.ProtocolError(
            f"the download broke off after {file.tell()} of {total} bytes"
        )


class _Adapter(HTTPAdapter):
    """Trusts the system's and the user's authorities, besides those of `requests`."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=_context())

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, ssl_context=_context())


def _context() -> ssl.SSLContext:
    """Return OpenSSL's defaults, with SSL_CERT_FILE, and the bundle of the user's other variables."""
    context = ssl.create_default_context()
    if bundle := os.environ.get(ca_variable(os.environ)):
        context.load_verify_locations(cafile=bundle)
    return context


def _session(url: str, tries: Retry) -> requests.Session:
    """Return a session that goes through the environment's proxies, but for this machine's loopback."""
    _check_bundle()
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(max_retries=tries))
    if is_loopback(urlsplit(url).hostname or ""):
        session.trust_env = False
    return session


def _check_bundle() -> None:
    """Raise DevenvError where the user's certificates can't be read.

    Otherwise each library would report it differently.
    """
    variable = ca_variable(os.environ)
    if not variable:
        return
    bundle = os.environ[variable]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=bundle)
    except OSError as error:
        what = f"{variable} names {bundle}, which holds no readable certificates."
        raise DevenvError(
            what, str(error), "Correct the variable, or unset it.", Exit.PREREQUISITE
        ) from error


def _refused(url: str, error: requests.HTTPError) -> DevenvError:
    trouble, server = trouble_of_status(error.response.status_code), urlsplit(url).netloc
    ways = (way_out(trouble, server, os.environ), "Check the address.", _BY_HAND)
    reason = f"{server} {trouble.value}: {error}"
    return DevenvError(
        f"{url} could not be downloaded.", reason, " ".join(filter(None, ways)), Exit.PREREQUISITE
    )


def _silent(url: str, error: Exception) -> NotReachableError:
    text, server = str(error), urlsplit(url).netloc if "[" not in url else url
    trouble = trouble_of(text)
    fix = f"{way_out(trouble, server, os.environ)} {_BY_HAND}".strip()
    reason = f"{server} {trouble.value}: {text}"
    return NotReachableError(f"{url} can't be reached.", reason, fix, Exit.PREREQUISITE)
