"""Bad input: one line, exit code 2, no traceback, nothing written."""

import pytest


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
