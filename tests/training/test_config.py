"""Settings: what is refused, what comes back from JSON, and what they say about themselves."""

import json

import numpy as np
import pytest

from originet.system.errors import InputError
from originet.training.config import PROTOCOLS, Config


def test_labels_say_what_is_leaky_and_titles_what_is_balanced() -> None:
    labels = [Config(protocol=name).protocol_label for name in PROTOCOLS]
    assert labels == ["strict", "paper (leaky)"]
    assert [Config(protocol=name).leaky for name in PROTOCOLS] == [False, True]
    assert Config().describe() == "protocol strict"
    weighted = Config(protocol="paper", class_weights="balanced")
    assert weighted.describe() == "protocol paper (leaky), balanced class weights"
    assert Config(sampling="balanced").describe() == "protocol strict, balanced sampling"
    varied = Config(label_smoothing=0.1, mixup_alpha=0.2, translation=0.04, leave_out="dataset")
    assert varied.describe() == (
        "protocol strict, label smoothing 0.1, mixup 0.2, translation 0.04, leaving out data sets"
    )


def test_config_survives_json_exactly() -> None:
    config = Config(epochs=3, learning_rate=1 / 3, rotations=(-15, 0), seeds=(1, 2), select="last")
    values = json.loads(json.dumps(config.to_dict()))
    assert values == config.to_dict()
    assert Config.from_dict(values) == config
    assert hash(Config.from_dict(values)) == hash(config)
    assert Config.from_dict({}) == Config()


def test_config_takes_numpys_numbers() -> None:
    config = Config(epochs=np.int64(3), learning_rate=np.float32(0.5), seeds=np.arange(2))
    same = Config(epochs=3, learning_rate=0.5, seeds=(0, 1))
    assert Config(seeds=[np.uint64(0), 2**63 - 1]).seeds == (0, 2**63 - 1)  # no array's type
    assert config == same and hash(config) == hash(same)
    assert json.dumps(config.to_dict()) == json.dumps(same.to_dict())
    assert {type(seed) for seed in config.seeds} == {int}  # they are written with every fold


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 0, "epochs must be at least 1, got 0"),
        ("epochs", 1.5, r"epochs must be a whole number, got 1\.5"),
        ("batch_size", "8", "batch_size must be a whole number, got '8'"),
        ("image_size", 32.0, r"image_size must be a whole number, got 32\.0"),
        ("seeds", (0.5,), r"seeds must be whole numbers, got 0\.5"),
        ("seeds", 3, "seeds must be a tuple or list of numbers, got 3"),
        ("rotations", "30", "rotations must be a tuple or list of numbers, got '30'"),
        ("batch_size", 2, "batch_size must be at least 3, got 2"),
        ("epochs", 10**12, "epochs must be at most 1,000,000, got 1000000000000"),
        ("epochs", True, "epochs must be a whole number, got True"),
        ("batch_size", 10**6 + 1, "batch_size must be at most 1,000,000, got 1000001"),
        ("image_size", 4097, "image_size must be at most 4,096, got 4097"),
        ("seeds", range(1001), "seeds must be at most 1,000, got 1001"),
        ("seeds", (2**63,), "seeds must be at most 9223372036854775807, got 9223372036854775808"),
        ("rotations", (0.5,), "rotations must be whole numbers, got 0.5"),
        ("learning_rate", "x", "learning_rate must be a number, got 'x'"),
        ("learning_rate", 10**400, "learning_rate must be positive and finite"),
        ("weight_decay", [0], "weight_decay must be a number, got 0"),
        ("validation_fraction", None, "validation_fraction must be a number, got None"),
        ("equalize", 1, "equalize must be true or false, got 1"),
        ("crop_face", "no", "crop_face must be true or false, got 'no'"),
        ("face_by", "mtcnn", "face_by must be one of"),
        ("face_by", "landmarks", "face_by must be viola-jones unless crop_face is on"),
        ("clips_file_sha256", "../x", "clips_file_sha256 must be none or 64 hexadecimal digits"),
        ("precision", ["float32"], "precision must be one of"),
        ("learning_rate", 0.0, "learning_rate must be positive and finite, got 0.0"),
        ("learning_rate", float("nan"), "learning_rate must be positive and finite, got nan"),
        ("weight_decay", -1.0, "weight_decay must be at least 0"),
        ("rotations", (), "rotations must be at least one angle"),
        ("rotations", (0, 190), "rotations must be in -180..180"),
        ("rotations", (0, 0), "rotations must be all different"),
        ("validation_fraction", 1.0, r"validation_fraction must be in \[0, 1\)"),
        ("validation_fraction", 0.0, 'above 0 with select="validation"'),
        ("select", "test", "select must be one of .*, got 'test'"),
        ("seeds", (), "seeds must be at least one"),
        ("seeds", (-1,), "seeds must be at least 0"),
        ("seeds", (1, 1), "seeds must be all different"),
        ("method", "mean", "method must be one of"),
        ("image_size", 8, "image_size must be at least 16"),
        ("variant", "mine", "variant must be one of"),
        ("protocol", "lenient", "protocol must be one of strict, paper, got 'lenient'"),
        ("class_weights", "inverse", "class_weights must be one of"),
        ("sampling", "random", "sampling must be one of"),
        ("leave_out", "clip", "leave_out must be one of subject, dataset, got 'clip'"),
        ("label_smoothing", "0.1", "label_smoothing must be a number, got '0.1'"),
        ("label_smoothing", -0.1, "label_smoothing must be 0 to 1, got -0.1"),
        ("label_smoothing", 1.0, "label_smoothing must be below 1, got 1.0"),
        ("mixup_alpha", float("nan"), "mixup_alpha must be 0 to 100, got nan"),
        ("mixup_alpha", 101, "mixup_alpha must be 0 to 100, got 101"),
        ("translation", 0.6, "translation must be 0 to 0.5, got 0.6"),
    ],
)
def test_config_refuses_bad_values(field: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Config(**{field: value})


def test_config_refuses_bad_combinations() -> None:
    with pytest.raises(InputError, match='sampling must be shuffled with class_weights="balanced"'):
        Config(class_weights="balanced", sampling="balanced")
    with pytest.raises(InputError, match=r"rotations must be several, or equalize on.*got 0"):
        Config(protocol="paper", rotations=(0,), equalize=False)
    with pytest.raises(InputError, match='validation_fraction must be above 0 with protocol="pa'):
        Config(protocol="paper", validation_fraction=0.0, select="last")
    assert Config(protocol="paper", rotations=(0,)).equalize
    assert Config(protocol="paper", equalize=False, select="last").rotations


def test_config_of_an_earlier_version_has_the_methods_name_of_today() -> None:
    config = Config(method="telescoped", variant="paper", protocol="paper")
    assert Config.from_dict(config.to_dict() | {"method": "paper"}) == config
    for name in ("paper", ["paper"]):
        with pytest.raises(InputError, match="method must be one of"):
            Config(method=name)
    with pytest.raises(InputError, match="method must be one of"):
        Config.from_dict({"method": ["paper"]})


def test_config_refuses_unknown_names() -> None:
    with pytest.raises(InputError, match="unknown settings: epoch"):
        Config.from_dict({"epoch": 3})
