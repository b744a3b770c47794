import pytest

from devenv.facts import limits


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120s", 120), ("2m", 120), ("1m30s", 90), ("1h", 3600), ("200ms", 0.2), ("1.5s", 1.5), (None, 0), ("x", 0)],
)  # fmt: skip
def test_a_duration_is_spelled_as_the_gateway_api_does(text, seconds):
    assert limits.duration(text) == pytest.approx(seconds)


PATCHED = {"name": "original_route", "route": {"timeout": "120s"}}


@pytest.mark.parametrize(
    ("kind", "spec", "limit"),
    [
        (limits.ROUTE, {"rules": [{"timeouts": {"request": "120s"}}, {"timeouts": {"request": "20s"}}]}, 20),
        (limits.ROUTE, {"rules": [{}]}, 0),
        (limits.CLIENTS, {"connection": {"bufferLimit": 4194304}}, 4 << 20),
        (limits.CLIENTS, {"connection": {"bufferLimit": "8Mi"}}, 8 << 20),
        (limits.CLIENTS, {"connection": {"bufferLimit": []}}, 0),
        (limits.CLIENTS, {}, 0),
        (limits.EXTENSION, {"extProc": [{"messageTimeout": "60s"}]}, 60),
        (limits.PATCHES, {"jsonPatches": [{"operation": {"value": PATCHED}}]}, 120),
        (limits.PATCHES, {"jsonPatches": [{"operation": {"value": False}}]}, 0),
        ("Service", {"ports": []}, 0),
    ],
)  # fmt: skip
def test_each_object_has_its_limit(kind, spec, limit):
    assert limits.limit_of(kind, {"spec": spec}) == limit
