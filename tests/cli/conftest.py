"""What several commands are tried with: bad input, which ends in one line, and a trained model."""

import pytest
from stores import make, write_tree


@pytest.fixture
def refuse(run, tmp_path):
    def check(message: str, *arguments: object) -> None:
        before = sorted(tmp_path.rglob("*"))
        code, _, err = run(*arguments)
        assert code == 2
        assert err.count("\n") == 1 and err.startswith("error: "), err
        assert message in err, err
        assert sorted(tmp_path.rglob("*")) == before

    return check


TINY = ("--epochs", 1, "--rotation", 0, "--no-equalize", "--batch-size", 4)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    make(write_tree(root / "tree", subjects=4), root / "store")
    return root / "store"


@pytest.fixture
def model(store, run, tmp_path):
    code, out, err = run("train", store, "-o", tmp_path / "model", "--seeds", 2, *TINY)
    assert code == 0, err
    assert "2 networks on 8 clips of 4 subjects, epochs 1, 1; happiness, sadness" in out
    return tmp_path / "model"
