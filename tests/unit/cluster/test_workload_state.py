"""What `status` shows of a workload, from hand-made objects."""

from devenv.cluster.workload_state import created, read_workloads

HOUR_12, HOUR_13 = "2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"
AT_12 = 1769860800.0


def deployment(replicas=2, ready=1):
    return {
        "metadata": {"name": "proxy", "namespace": "a", "creationTimestamp": HOUR_12},
        "spec": {
            "replicas": replicas,
            "template": {"spec": {"containers": [{"name": "envoy", "image": "envoy:new"}]}},
        },
        "status": {"readyReplicas": ready},
    }


def pod(*statuses, born=HOUR_12, image="envoy:old", **meta):
    return {
        "metadata": {
            "name": "proxy-1-x",
            "namespace": "a",
            "creationTimestamp": born,
            "labels": {"pod-template-hash": "1"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "proxy-1"}],
            **meta,
        },
        "spec": {"containers": [{"name": "envoy", "image": image}]},
        "status": {"phase": "Running", "containerStatuses": list(statuses)},
    }


def container(restarts=0, *, ready=True, state=None, last=None):
    return {
        "name": "envoy",
        "ready": ready,
        "restartCount": restarts,
        "state": state or {"running": {}},
        "lastState": {"terminated": last} if last else {},
    }


def test_replicas_and_restarts_are_added_up():
    pods = [pod(container(2), container(1)), pod(container(4))]
    state = read_workloads([deployment(), deployment(replicas=None, ready=None)], pods)
    assert (state.ready, state.desired) == (1, 3)
    # Both Deployments have one name here, so each owns both pods.
    assert state.restarts == 14


def test_another_workloads_pods_do_not_count():
    other = pod(container(3), ownerReferences=[{"kind": "ReplicaSet", "name": "other-1"}])
    ending = pod(container(5), deletionTimestamp=HOUR_13)
    assert read_workloads([deployment()], [other, ending]).restarts == 0


def test_images_are_those_that_run_and_else_those_of_the_template():
    pods = [pod(container()), pod(container(), image="envoy:new"), pod(container())]
    assert read_workloads([deployment()], pods).images == ("envoy:old", "envoy:new")
    assert read_workloads([deployment()], []).images == ("envoy:new",)


def test_the_reason_is_that_of_the_pod_that_is_not_ready():
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}
    state = read_workloads([deployment()], [pod(container(ready=False, state=waiting))])
    assert "ImagePullBackOff: Back-off" in state.reason


def test_a_restart_of_a_container_that_runs_again_has_its_reason():
    killed = container(1, last={"reason": "OOMKilled", "exitCode": 137})
    assert "OOMKilled" in read_workloads([deployment()], [pod(killed)]).reason


def test_a_restart_with_its_node_needs_no_reason():
    stopped = container(1, last={"reason": "Unknown", "exitCode": 255})
    state = read_workloads([deployment()], [pod(stopped)])
    assert (state.restarts, state.reason) == (1, "")


def test_the_age_is_that_of_the_newest_pod_and_else_of_the_object():
    pods = [pod(container()), pod(container(), born=HOUR_13)]
    assert created([deployment()], pods) == AT_12 + 3600
    assert created([deployment()], []) == AT_12
    assert created([], []) == 0.0
