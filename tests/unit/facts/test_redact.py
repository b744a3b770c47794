import json

import pytest

from devenv.facts.redact import redacted

HOME, USER = "/home/somebody", "somebody"


def clean(value):
    return json.dumps(redacted({"x": value}, HOME, USER))


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ('{"authorization":"Basic dXNlcjpwYXNz"}', "dXNlcjpwYXNz"),
        ("bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "eyJ"),
        ("token=hunter2hunter2", "hunter2"),
        ("OPENAI_API_KEY: sk-abcdefghijklmnop", "sk-abc"),
        ("key sk-proj-abcdefghijklmnop", "sk-proj"),
        ('{"messages":[{"role":"user","content":"my secret plan"}],"model":"m"}', "my secret plan"),
        ('{\\"prompt\\": \\"my secret plan\\"}', "my secret plan"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
        ("/home/somebody/src/profile.yaml", "somebody"),
        ("run by somebody on tty1", "somebody"),
    ],
)
def test_it_is_gone(text, gone):
    assert gone not in clean(text)
    assert gone not in clean({"deep": [text]})
    assert gone not in clean({text: 1})


@pytest.mark.parametrize(
    "text", ["somebodyelse", "model llama2-7b", "no space left on device", "/home/somebodyelse", "tokens: 12"]
)
def test_it_stays(text):
    assert text in clean(text)


def test_a_header_is_taken_out_by_its_name():
    assert "abc" not in clean({"Authorization": "abc", "cookie": "abc"})


def test_root_is_a_word_of_the_systems_own():
    assert redacted({"x": "read-only root file system"}, "/root", "root") == {"x": "read-only root file system"}
    assert redacted({"x": "/root/.kube/config"}, "/root", "root") == {"x": "~/.kube/config"}
