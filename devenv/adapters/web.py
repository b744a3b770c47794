"""Downloads. `requests` is what Docker's own client uses already; it knows proxies and certificates."""

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from devenv.errors import DevenvError, Exit, NotReachableError

_TIMEOUT = (5, 30)  # seconds to connect, and of silence
_LONGEST = 900.0  # seconds for one file
_AGAIN = 3  # times that an answer may break off
_PIECE = 1 << 18  # bytes
_TRIES = Retry(total=3, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504), respect_retry_after_header=False)


class HttpWeb:
    """The web, by GET."""

    def fetch(self, url: str, target: Path, progress: Callable[[int, int], None]) -> None:
        """Write what the address gives to `target`. `progress` gets bytes so far and in all, 0 where that is unknown.

        An answer that breaks off is asked for again, from its beginning.
        """
        end = time.monotonic() + _LONGEST
        for left in reversed(range(_AGAIN)):
            try:
                self._once(url, target, progress, end)
            except NotReachableError:
                if not left or not target.stat().st_size or time.monotonic() > end:
                    raise
            else:
                return

    @staticmethod
    def _once(url: str, target: Path, progress: Callable[[int, int], None], end: float) -> None:
        try:
            with requests.Session() as session, target.open("wb") as file:
                for scheme in ("http://", "https://"):
                    session.mount(scheme, HTTPAdapter(max_retries=_TRIES))
                with session.get(url, stream=True, timeout=_TIMEOUT) as answer:
                    answer.raise_for_status()
                    _receive(url, answer, file, progress, end)
        except requests.HTTPError as error:
            raise DevenvError(f"{url} can't be had.", str(error), "Check the address.", Exit.PREREQUISITE) from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:  # requests' own errors are OSErrors, too
            if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
                raise DevenvError(f"{target} can't be written.", str(error), "Is the disk full?") from error
            raise _silent(url, error) from error

    def answers(self, url: str) -> bool:
        """Whether there is something at the address, as far as its server says at once."""
        try:
            return requests.head(url, timeout=_TIMEOUT[0], allow_redirects=True).ok
        except (requests.RequestException, ValueError):
            return False


def _receive(url: str, answer: requests.Response, file: BinaryIO, progress: Callable[[int, int], None], end: float) -> None:
    total = int(answer.headers.get("content-length", 0))
    while chunk := answer.raw.read1(_PIECE, decode_content=True):  # what is there, not only whole pieces
        file.write(chunk)
        progress(file.tell(), total)
        if time.monotonic() > end:
            raise NotReachableError(f"{url} took longer than {_LONGEST:.0f} s.", exit_code=Exit.PREREQUISITE)
    if "content-encoding" not in answer.headers and file.tell() < total:
        raise urllib3.exceptions.ProtocolError(f"it broke off after {file.tell()} of {total} bytes")


def _silent(url: str, error: Exception) -> NotReachableError:
    fix = "Check the network, HTTPS_PROXY among it; or download it by hand and name the file in the profile."
    return NotReachableError(f"{url} can't be reached.", str(error), fix, Exit.PREREQUISITE)
