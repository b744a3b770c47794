"""Downloads.

`requests` is what Docker's own client uses already; it knows network proxies and certificates.
"""

import errno
import os
import ssl
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from devenv.base.errors import DevenvError, Exit, NotReachableError
from devenv.base.network import ca_variable, is_loopback, remedy, trouble_of, trouble_of_status
from devenv.ports.progress import Progress

# Seconds to connect.
_CONNECT = 5
# Seconds to connect, and seconds of silence.
_TIMEOUT = (_CONNECT, 30)
# Seconds for one file.
_LONGEST = 900.0
# Times that a file is asked for if its answers break off.
_ATTEMPTS = 3
_BY_HAND = "Or download it by hand and name the file in the profile."
# Bytes.
_CHUNK = 1 << 18
_RETRIES = Retry(
    total=3,
    backoff_factor=0.5,
    status_forcelist=(429, 502, 503, 504),
    respect_retry_after_header=False,
)
# Errors of a disk that can't be written.
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class HttpWeb:
    """Downloads by HTTP, with GET."""

    def fetch(self, url: str, target: Path, progress: Progress) -> None:
        """Write what an address gives to `target`.

        `progress` gets the bytes so far, and the bytes in all or 0 if that is unknown. An answer
        that breaks off is asked for again, from its beginning.
        """
        end = time.monotonic() + _LONGEST
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                _fetch_once(url, target, progress, end)
            except NotReachableError:
                # Only an answer that had begun is worth another try.
                can_try_again = attempts_left and target.stat().st_size
                if not can_try_again or time.monotonic() > end:
                    raise
            else:
                return

    def problem(self, url: str) -> str:
        """Return why the address gives nothing, "" if it does, as its server says at once."""
        server = urlsplit(url).netloc
        try:
            with _session(url, Retry(0)) as session:
                status = session.head(url, timeout=_CONNECT, allow_redirects=True).status_code
        except (requests.RequestException, OSError, ValueError) as error:
            return f"{server} {trouble_of(str(error)).value}"
        if status < HTTPStatus.BAD_REQUEST:
            return ""
        return f"{server} {trouble_of_status(status).value}"


def _fetch_once(url: str, target: Path, progress: Progress, end: float) -> None:
    """Write what the address gives into a file. Raises DevenvError: a full disk is told apart."""
    try:
        with (
            target.open("wb") as file,
            _session(url, _RETRIES) as session,
            session.get(url, stream=True, timeout=_TIMEOUT) as answer,
        ):
            answer.raise_for_status()
            _receive(url, answer, file, progress, end)
    except requests.HTTPError as error:
        raise _refused(url, error) from error
    # The other errors of `requests` are OSErrors too.
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            what = f"{target} can't be written."
            raise DevenvError(what, str(error), "Is the disk full?") from error
        raise _silent(url, error) from error


def _receive(
    url: str,
    answer: requests.Response,
    file: BinaryIO,
    progress: Progress,
    end: float,
) -> None:
    """Write an answer's body. `end` is when to give up, on the monotonic clock."""
    total = int(answer.headers.get("content-length", 0))
    # read1 returns what has arrived; read would wait for a whole chunk.
    while chunk := answer.raw.read1(_CHUNK, decode_content=True):
        file.write(chunk)
        progress(file.tell(), total)
        if time.monotonic() > end:
            what = f"{url} took longer than {_LONGEST:.0f} s."
            raise NotReachableError(what, exit_code=Exit.PREREQUISITE)
    # With an encoding, the length is that of the encoded body.
    if "content-encoding" not in answer.headers and file.tell() < total:
        reason = f"the download broke off after {file.tell()} of {total} bytes"
        raise urllib3.exceptions.ProtocolError(reason)


class _Adapter(HTTPAdapter):
    """Trusts the authorities of the system and of the user, besides those of `requests`."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=_tls_context())

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, ssl_context=_tls_context())


def _tls_context() -> ssl.SSLContext:
    """Return OpenSSL's defaults, which include SSL_CERT_FILE, and the user's other bundle."""
    context = ssl.create_default_context()
    if bundle := os.environ.get(ca_variable(os.environ)):
        context.load_verify_locations(cafile=bundle)
    return context


def _session(url: str, retries: Retry) -> requests.Session:
    """Return a session that uses the environment's proxies, unless it asks loopback."""
    _refuse_unreadable_bundle()
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(max_retries=retries))
    if is_loopback(urlsplit(url).hostname or ""):
        session.trust_env = False
    return session


def _refuse_unreadable_bundle() -> None:
    """Raise DevenvError if the user's certificates can't be read.

    Otherwise each library would report it differently.
    """
    variable = ca_variable(os.environ)
    if not variable:
        return
    bundle = os.environ[variable]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=bundle)
    except OSError as error:
        what = f"{variable} names {bundle}, which has no readable certificates."
        fix = "Correct the variable, or unset it."
        raise DevenvError(what, str(error), fix, Exit.PREREQUISITE) from error


def _refused(url: str, error: requests.HTTPError) -> DevenvError:
    """Return the error for an answer that is an error, with what its status calls for."""
    server = urlsplit(url).netloc
    trouble = trouble_of_status(error.response.status_code)
    reason = f"{server} {trouble.value}: {error}"
    fixes = (remedy(trouble, server, os.environ), "Check the address.", _BY_HAND)
    return DevenvError(
        f"{url} could not be downloaded.", reason, " ".join(filter(None, fixes)), Exit.PREREQUISITE
    )


def _silent(url: str, error: Exception) -> NotReachableError:
    """Return the error for a server that gave no answer, with what the failure calls for."""
    # A bracket may begin an address that can't be parsed.
    server = url if "[" in url else urlsplit(url).netloc
    trouble = trouble_of(str(error))
    reason = f"{server} {trouble.value}: {error}"
    fix = f"{remedy(trouble, server, os.environ)} {_BY_HAND}".strip()
    return NotReachableError(f"{url} can't be reached.", reason, fix, Exit.PREREQUISITE)
