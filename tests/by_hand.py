"""Slow tests of the cluster tier that `make test` leaves out: others show what they show, on other layers or cases.

`DEVENV_EXHAUSTIVE=1` runs them, too. With them, a run on two slow cores took 73 min; CI has 90, with the build.
"""

# Function → words of its cases; without words, all of its cases.
_SLOW: dict[str, tuple[str, ...]] = {
    "test_a_fault_of_its_control_plane_is_one_root_and_recover_heals_it": (
        "metadata service", "controller at zero", "without a certificate",
    ),
    "test_a_mistake_that_aibrix_accepts_in_silence_is_named_with_its_patch": (
        "port of the Deployment alone", "label only on the Deployment", "Service of another name",
    ),
    "test_a_network_that_is_gone_is_named_and_made_again": (),
    "test_a_secret_that_comes_late_is_brought_to_its_pod": (),
    "test_after_restart": (),
    "test_an_early_release_comes_by_its_address_once": (),
    "test_filled_as_root": (),
    "test_how_many_requests_fail_while_a_workload_of_one_replica_is_reloaded_is_told": (),
    "test_killed_after_a_step": (" cluster]", " apply gateway]"),
    "test_no_inodes": (),
    "test_the_port_is_taken_by_another": (),
    "test_what_is_gone_is_seen_and_put_back_in_one_plan_without_a_restart": (
        "a definition", "the webhooks' Service",
    ),
    "test_without_the_prevention_a_full_disk_latches_the_gateway": (),
}  # fmt: skip


def is_slow(nodeid: str) -> bool:
    """Whether a test of the cluster tier runs only by hand."""
    function, _, case = nodeid.rpartition("::")[2].partition("[")
    if function not in _SLOW:
        return False
    words = _SLOW[function]
    return not words or any(word in f"[{case}" for word in words)
