"""How the C++ sources are compiled, by setup.py and by the tests that compile some of them."""

WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter"]
# The last three let selects become vector blends, not paths; none changes a result.
OPTIMISE = [
    "-O3",
    "-fopenmp-simd",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-thread-jumps",
]
