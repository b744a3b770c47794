from devenv.profiles.draft import free_port


def test_a_new_profile_gets_a_port_that_nobody_listens_on():
    taken = {8888: "devenv", 8889: "other"}
    assert free_port(taken.get) == 8890
    assert free_port(lambda _: "somebody") == 8888
