import json

import pytest

from devenv.facts.redact import redacted, redacted_text

HOME, USER = "/home/somebody", "somebody"


def clean(value):
    return json.dumps(redacted({"lines": value}, HOME, [USER]))


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("Authorization:[Bearer abcdefgh12345678]", "abcdefgh"),
        ("Authorization: Token abcdef123456", "abcdef"),
        ('{"authorization":"Basic dXNlcjpwYXNz"}', "dXNlcjpwYXNz"),
        ("bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "eyJ"),
        ("token=hunter2hunter2", "hunter2"),
        ("OPENAI_API_KEY: sk-abcdefghijklmnop", "sk-abc"),
        ("key sk-proj-abcdefghijklmnop", "sk-proj"),
        ("hf_abcdefghijklmnopq", "hf_abc"),
        ("AKIAABCDEFGHIJKLMNOP", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY=abcd/efgh", "abcd/efgh"),
        ("redis://:hunter22@redis:6379", "hunter22"),
        ("https://bob:pa55word@host/x", "pa55word"),
        ("https://tokenasuser@host/x", "tokenasuser"),
        ("client-key-data: LS0tLS1CRUdJTg", "LS0tLS1CRUdJTg"),
        ("run --api-key abcdef123456", "abcdef"),
        ('"X-Api-Key":["abcd1234"]', "abcd1234"),
        ('password: "my secret phrase"', "secret phrase"),
        ("Cookie: session=abcdef", "abcdef"),
        ('{"messages":[{"role":"user","content":"my secret plan"}],"model":"m"}', "my secret plan"),
        ('{"messages":[{"role":"user","content":"my secret pl', "secret pl"),
        ('{\\"prompt\\": \\"my secret plan\\"}', "my secret plan"),
        ("body messages:[{role:user content:my plan}]", "my plan"),
        ('prompt="my secret plan"', "secret plan"),
        ('"input":"my secret plan"', "secret plan"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
        ("/home/somebody/src/profile.yaml", "somebody"),
        ("run by somebody on tty1", "somebody"),
        ("host Somebody-laptop", "Somebody"),
    ],
)
def test_it_is_gone(text, gone):
    assert gone not in clean(text)
    assert gone not in clean({"deep": [text]})


@pytest.mark.parametrize(
    "text",
    [
        "somebodyelse",
        "model llama2-7b",
        "no space left on device",
        "/home/somebodyelse",
        "tokens: 12",
        "input: 3 tokens",
    ],
)
def test_it_stays(text):
    assert text in clean(text)


@pytest.mark.parametrize(
    "message",
    [
        'volume "token" : secret "api-key" not found',
        'volume "secret" : references non-existent secret key: a',
        'failed to fetch token: serviceaccounts "me" not found',
    ],
)
def test_the_name_of_what_a_pod_lacks_is_no_credential(message):
    assert redacted({"message": message}, HOME, [USER]) == {"message": message}


@pytest.mark.parametrize(
    "content",
    [
        {"Authorization": "abc"},
        {"set-cookie": "abc"},
        {"password": "abc"},
        {"name": "Authorization", "value": "abc"},
    ],
)
def test_it_is_taken_out_by_its_name(content):
    assert "abc" not in clean([content])


def test_root_is_a_word_of_the_systems_own():
    assert redacted({"lines": "read-only root file system"}, "/root", ["root"]) == {
        "lines": "read-only root file system"
    }
    assert redacted({"x": "/root/.kube/config"}, "/root", ["root"]) == {"x": "~/.kube/config"}
    assert redacted({"x": "/proc/1/root/x"}, "/root", ["root"]) == {"x": "/proc/1/root/x"}, (
        "a folder of that name elsewhere"
    )


@pytest.mark.parametrize("user", ["node", "devenv", "model", "running", "default", "gateway"])
def test_a_users_name_changes_no_fact(user):
    facts = {
        "cluster": user,
        "nodes": [{"name": user, "status": user}],
        user: {user: [user]},
        "lines": [f"by {user}"],
    }
    told = redacted(facts, f"/home/{user}", [user])
    assert {k: v for k, v in told.items() if k != "lines"} == {
        k: v for k, v in facts.items() if k != "lines"
    }
    assert told["lines"] == ["by user"]


def test_whoever_became_root_is_hidden_too():
    assert redacted({"x": "/home/alice/a"}, "/root", ["root", "alice"]) == {"x": "~/a"}


def test_the_argument_after_an_option_that_names_a_secret_is_gone():
    args = {"args": ["app.py", "--api_key", "planted", "--port", "8000", "--api-key-file", "x"]}
    assert redacted(args, HOME, [USER])["args"] == [
        "app.py",
        "--api_key",
        "[redacted]",
        "--port",
        "8000",
        "--api-key-file",
        "x",
    ]


def test_secrets_that_are_known_are_gone_from_names_too():
    told = redacted(
        {"metadata": {"name": "x-planted-y"}, "args": ["planted"]}, HOME, [USER], ["planted"]
    )
    assert "planted" not in json.dumps(told)


@pytest.mark.parametrize("end", ["\n-----END RSA PRIVATE KEY-----\nafter", ""])
def test_a_key_of_several_lines_is_gone_from_a_text_also_if_its_end_is_missing(end):
    text = redacted_text(f"before\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nMIIF{end}", HOME, [USER])
    assert text.splitlines() == ["before", *["[redacted]", "after"][: 2 if end else 1]]


def test_a_question_is_gone_to_the_end_of_its_line_alone():
    text = redacted_text('prompt="my secret\nready: somebody', HOME, [USER], ["ready"])
    assert "secret" not in text
    assert text.endswith("\n[redacted]: user")
