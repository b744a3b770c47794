import hashlib

import pytest

from devenv.errors import DevenvError, Exit, NotReachableError
from devenv.lifecycle.downloads import Downloads

URL = "https://example.com/v1/manifests.yaml"
PAGE = b"apiVersion: v1\n"
SUM = hashlib.sha256(PAGE).hexdigest()


@pytest.fixture
def downloads(fakes) -> Downloads:
    return Downloads(fakes.host, fakes.web, fakes.reporter)


def test_a_file_is_fetched_once(downloads, fakes):
    fakes.web.pages[URL] = PAGE
    assert downloads.fetch(URL, SUM).read_bytes() == PAGE
    assert downloads.fetch(URL, SUM).read_bytes() == PAGE
    assert fakes.log.count(f"fetch {URL}") == 1


def test_another_file_than_recorded_is_refused_with_both_sums(downloads, fakes):
    fakes.web.pages[URL] = PAGE + b"# changed"
    with pytest.raises(DevenvError, match="not the file that was recorded") as caught:
        downloads.fetch(URL, SUM)
    assert caught.value.exit_code == Exit.USAGE
    assert SUM in caught.value.why
    assert hashlib.sha256(PAGE + b"# changed").hexdigest() in caught.value.why
    assert not downloads.path(SUM).exists()
    assert list(downloads.path(SUM).parent.iterdir()) == []


def test_a_kept_file_that_was_damaged_is_fetched_again(downloads, fakes):
    fakes.web.pages[URL] = PAGE
    downloads.fetch(URL, SUM).write_bytes(b"")
    assert downloads.fetch(URL, SUM).read_bytes() == PAGE


def test_an_address_that_does_not_answer_leaves_nothing(downloads):
    with pytest.raises(NotReachableError):
        downloads.fetch(URL, SUM)
    assert list(downloads.path(SUM).parent.iterdir()) == []
