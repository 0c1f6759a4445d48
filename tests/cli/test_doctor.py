"""`originet doctor`."""


def test_doctor_tells_what_works(run):
    code, out, _ = run("doctor")
    assert code == 0
    for word in ("torch", "CPU kernels", "CUDA usable", "face cascade"):
        assert word in out
