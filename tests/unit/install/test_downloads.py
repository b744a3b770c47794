import hashlib
import json

import pytest

from devenv.base.errors import Exit, NotReachableError
from devenv.install.downloads import Downloads

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


def test_another_file_than_recorded_is_refused_with_both_sums(downloads, fakes, expect_error):
    fakes.web.pages[URL] = PAGE + b"# changed"
    with expect_error(Exit.USAGE):
        downloads.fetch(URL, SUM)
    assert not downloads.path(URL, SUM).exists()
    assert list(downloads.path(URL, SUM).parent.iterdir()) == []


def test_a_kept_file_that_was_damaged_is_fetched_again(downloads, fakes):
    fakes.web.pages[URL] = PAGE
    downloads.fetch(URL, SUM).write_bytes(b"")
    assert downloads.fetch(URL, SUM).read_bytes() == PAGE


def test_an_address_that_does_not_answer_leaves_nothing(downloads):
    with pytest.raises(NotReachableError):
        downloads.fetch(URL, SUM)
    assert list(downloads.path(URL, SUM).parent.iterdir()) == []


def test_without_a_sum_the_first_one_is_recorded_and_required_ever_after(
    downloads, fakes, expect_error
):
    fakes.web.pages[URL] = PAGE
    kept = downloads.fetch(URL, "")
    assert kept.read_bytes() == PAGE
    assert json.loads((fakes.host.config_dir() / "downloads.lock").read_text()) == {URL: SUM}
    assert downloads.fetch(URL, "") == kept == downloads.path(URL, "")
    assert fakes.log.count(f"fetch {URL}") == 1, "what is kept needs no network"
    kept.unlink()
    fakes.web.pages[URL] = PAGE + b"# changed"
    with expect_error(Exit.USAGE):
        downloads.fetch(URL, "")


def test_a_record_of_sums_that_is_broken_is_not_taken_for_none(downloads, fakes, expect_error):
    fakes.web.pages[URL] = PAGE
    fakes.host.config_dir().mkdir()
    (fakes.host.config_dir() / "downloads.lock").write_text("[]")
    with expect_error(Exit.USAGE):
        downloads.fetch(URL, "")
