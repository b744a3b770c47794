import pytest

from devenv.profiles.quantities import parse, share, show


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64Mi", 64 << 20),
        ("1.5Gi", 3 << 29),
        ("2G", 2 * 10**9),
        ("1000", 1000),
        (7, 7),
        ("3k", 3000),
    ],
)
def test_sizes_are_read_as_kubernetes_spells_them(text, size):
    assert parse(text) == size


@pytest.mark.parametrize("text", ["", "64MB", "-1Gi", "1e3", "Gi", "1 Gi x"])
def test_what_is_no_size_is_refused(text, check_message):
    with pytest.raises(ValueError) as caught:
        parse(text)
    check_message(str(caught.value))


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (64 << 20, "64 MiB"), (5 << 40, "5120 GiB")]
)
def test_sizes_are_shown_in_the_unit_that_fits(size, text):
    assert show(size) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("10%", 100), ("0%", 0), ("100%", 1000), ("12.5%", 125), ("64", 64), ("1Ki", 1024)],
)
def test_a_share_is_a_size_or_a_part_of_the_disk(text, size):
    assert share(text, 1000) == size


@pytest.mark.parametrize("text", ["101%", "-1%", "%", "ten%", "nan%", "much"])
def test_what_is_no_share_is_refused(text, check_message):
    with pytest.raises(ValueError) as caught:
        share(text, 1000)
    check_message(str(caught.value))
