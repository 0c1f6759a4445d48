"""What the settings say about themselves."""

from originet.training.config import PROTOCOLS, Config


def test_labels_say_what_is_leaky_and_titles_what_is_balanced() -> None:
    labels = [Config(protocol=name).protocol_label for name in PROTOCOLS]
    assert labels == ["strict", "paper (leaky)"]
    assert [Config(protocol=name).leaky for name in PROTOCOLS] == [False, True]
    assert Config().describe() == "protocol strict"
    weighted = Config(protocol="paper", class_weights="balanced")
    assert weighted.describe() == "protocol paper (leaky), balanced class weights"
    assert Config(sampling="balanced").describe() == "protocol strict, balanced sampling"
