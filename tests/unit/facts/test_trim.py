from devenv.facts.trim import revision, trimmed


def test_values_of_variables_annotations_and_volumes_are_left_out():
    variables = [
        {"name": "API_KEY", "value": "hush"},
        {"name": "DEPTH", "value": "hush"},
        {"name": "POD", "valueFrom": {"x": "y"}},
    ]
    container = {"name": "c", "image": "i", "env": variables, "volumeMounts": [{"name": "v"}]}
    pod = {
        "metadata": {
            "name": "p",
            "namespace": "n",
            "annotations": {"a": "hush"},
            "managedFields": [{"x": "hush"}],
        },
        "spec": {
            "containers": [container],
            "volumes": [{"name": "v", "secret": {"secretName": "hush"}}],
        },
        "status": {"phase": "Running"},
    }
    told = trimmed(pod)
    assert "hush" not in str(told)
    secret, plain, other = told["spec"]["containers"][0]["env"]
    assert (secret, other) == ({"name": "API_KEY"}, {"name": "POD"})
    assert plain.keys() == {"name", "mark"}, "so that two looks can be compared"
    assert told["status"] == {"phase": "Running"}


def test_a_deployment_keeps_its_selector_and_its_pods_labels():
    labels = {"app": "x"}
    template = {
        "metadata": {"labels": labels, "annotations": {"a": "hush"}},
        "spec": {"containers": []},
    }
    told = trimmed(
        {
            "metadata": {"name": "d"},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
        }
    )
    assert told["spec"]["replicas"] == 2
    assert told["spec"]["template"]["metadata"] == {"labels": labels}


def test_only_envoy_gateways_own_settings_are_read():
    assert "data" not in trimmed({"metadata": {"name": "other"}, "data": {"password": "hush"}})
    assert trimmed({"metadata": {"name": "envoy-gateway-config"}, "data": {"a": "b"}})["data"] == {
        "a": "b"
    }


def test_of_revisions_the_number_and_the_owner_are_kept_and_no_template():
    owner = [{"kind": "Deployment", "name": "d"}]
    meta = {
        "name": "d-1",
        "annotations": {"deployment.kubernetes.io/revision": "3", "a": "hush"},
        "ownerReferences": owner,
    }
    told = revision(
        {"metadata": meta, "revision": 4, "data": {"a": "hush"}, "spec": {"template": "hush"}}
    )
    assert told["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "3"}
    assert (told["metadata"]["ownerReferences"], told["revision"]) == (owner, 4)
    assert "hush" not in str(told)
