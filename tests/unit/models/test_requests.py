from dataclasses import replace

from pydantic import SecretStr

from devenv.profiles.model import LiveRequest


def test_requests_carry_the_models_headers(models, monkeypatch):
    monkeypatch.setenv("PLANTED", "x")
    keyed = LiveRequest(route="direct", model="m1", headers={"Authorization": "Bearer ${PLANTED}"})
    profile = models.session.profile.model_copy(update={"requests": (keyed,)})
    from_profile = replace(models, session=replace(models.session, profile=profile)).requests
    to_m1 = from_profile.to_model("m1", "", anonymous=True)
    assert to_m1
    assert all(r.headers == keyed.headers for r in to_m1)
    to_m2 = from_profile.to_model("m2", "", anonymous=True)
    assert to_m2
    assert not any(r.headers for r in to_m2)
    headers = {"X-Key": SecretStr("y")}
    with_headers = replace(models, headers=headers).requests.to_model("m1", "", anonymous=True)
    assert with_headers
    assert all(r.headers == headers for r in with_headers)
