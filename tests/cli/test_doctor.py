"""`originet doctor`."""

from originet.cli import diagnosis


def test_doctor_tells_what_works(run):
    code, out, _ = run("doctor")
    assert code == 0
    for word in ("torch", "CPU kernels", "CUDA usable", "face cascade"):
        assert word in out


def test_what_is_broken_changes_the_exit_code(run, monkeypatch):
    findings = [diagnosis.Finding("kernels [x]", "fine", True), diagnosis.Finding("GPU", "none")]
    monkeypatch.setattr(diagnosis, "diagnose", lambda: findings)
    code, out, _ = run("doctor")
    assert code == 0 and out.split() == ["kernels", "[x]", "fine", "ok", "GPU", "none"]
    findings.append(diagnosis.Finding("cascade", "is not there", False))
    code, out, _ = run("doctor")
    assert code == 1 and out.split()[-1] == "broken"
