#!/usr/bin/env bash
# Everything that needs a GPU, in one call, on a machine with nvcc, a CUDA build of torch and the
# bench extra:
#
#     bash bench/gpu_check.sh [OUT]
#
# builds for the GPU that is there, runs the tests with no skip for a missing GPU, runs
# compute-sanitizer over a subset and writes the benchmark CSVs to OUT (default: bench/results).
# Every step runs even if one before it failed; the exit code tells whether all passed.
# BENCH_OPTIONS=--quick makes the benchmarks short.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:-bench/results}" && cd "${1:-bench/results}" && pwd)
python=${PYTHON:-python3}
commit=${COMMIT:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)}
read -ra options <<<"${BENCH_OPTIONS:-}"
failed=()

step() { # step NAME COMMAND...
  local name=$1
  shift
  echo "== $name"
  local start=$SECONDS
  "$@" || failed+=("$name")
  echo "== $name: $((SECONDS - start)) s"
}

arch=$("$python" -c 'import torch; print("%d.%d" % torch.cuda.get_device_capability())') || {
  echo "no CUDA device" >&2
  exit 1
}
export ORIGINET_CUDA=1 TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST:-$arch}
step build "$python" -m pip install -q --no-build-isolation --no-deps .

export FAIL_WITHOUT_CUDA=1
# The kernels first. The rest of the suite needs opencv-python and is left out where it is missing.
kernels=(tests/test_rrelu.py tests/test_rrelu_api.py tests/test_rrelu_norm.py
  tests/test_active_image.py)
step tests "$python" -m pytest -q "${kernels[@]}"
if "$python" -c 'import cv2, pandas, sklearn, skimage, typer' 2>/dev/null; then
  step "all tests" "$python" -m pytest -q
fi

# A subset: the sanitizers slow a kernel down a hundredfold.
subset="cuda and (match_reference or matches_reference or head_and_tail or layouts or tiles or packed)"
for tool in memcheck racecheck initcheck; do
  step "$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 \
    "$python" -m pytest -q -x "${kernels[@]}" -k "$subset"
done

for dtype in float32 bfloat16 float16; do
  step "bench rrelu $dtype" "$python" bench/bench_rrelu.py "$out/rrelu.csv" \
    --device cuda --dtype "$dtype" --commit "$commit" "${options[@]}"
done
step "bench active image" "$python" bench/bench_active_image.py "$out/active_image.csv" \
  --device cuda --commit "$commit" "${options[@]}"

if ((${#failed[@]})); then
  printf 'failed: %s\n' "${failed[@]}"
  exit 1
fi
echo "all passed"
