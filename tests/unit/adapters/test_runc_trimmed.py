import json
from pathlib import Path

from devenv.adapters.runc_trimmed import available, spec_of, trim


def test_only_what_the_host_has_is_asked_for(tmp_path: Path):
    have = available("Name:\tx\nCapBnd:\t0000000000000003\n")
    assert have == {"CAP_CHOWN", "CAP_DAC_OVERRIDE"}
    spec = tmp_path / "config.json"
    spec.write_text(
        json.dumps(
            {"process": {"rlimits": [1], "capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYSLOG"]}}}
        )
    )
    trim(str(spec), have)
    assert json.loads(spec.read_text()) == {
        "process": {"capabilities": {"bounding": ["CAP_CHOWN"]}}
    }


def test_the_spec_is_found_in_each_call_that_reads_one():
    assert spec_of(["--root", "/r", "create", "--bundle", "/b", "id"]) == "/b/config.json"
    assert spec_of(["exec", "--process", "/p.json", "id"]) == "/p.json"
    assert spec_of(["state", "id"]) == ""
