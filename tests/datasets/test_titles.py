from originet.datasets.titles import dataset_title


def test_data_sets_have_their_own_names():
    assert dataset_title("casme2+samm") == "CASME II + SAMM"
    assert dataset_title("cas_me2") == "CAS(ME)²" and dataset_title("another") == "another"
