#!/usr/bin/env bash
# Everything that needs a GPU, on a machine with nvcc, a CUDA build of torch and the package's
# dependencies:
#
#     bash bench/gpu_check.sh [OUT [PARTS]]
#
# OUT (default: bench/results) gets the benchmark CSVs and pictures. PARTS are some of
#
#     build      install the package, built for the GPU that is there
#     tests      the kernels' tests, and all others where their packages are, with no skip for a
#                missing GPU
#     sanitize   compute-sanitizer over a subset of the kernel tests: memory, races, uninitialised
#     rrelu, active-image, model, loso   the benchmarks; "bench" is all four
#
# joined by commas (default: build,tests,sanitize,bench). Every step runs even if one before it
# failed; the exit code tells whether all passed. BENCH_OPTIONS=--quick makes the benchmarks short.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:-bench/results}" && cd "${1:-bench/results}" && pwd)
parts=,${2:-build,tests,sanitize,bench},
parts=${parts/,bench,/,rrelu,active-image,model,loso,}
python=${PYTHON:-python3}
commit=${COMMIT:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)}
read -ra options <<<"${BENCH_OPTIONS:-}"
failed=()

for part in ${parts//,/ }; do
  case $part in
    build | tests | sanitize | rrelu | active-image | model | loso) ;;
    *)
      echo "unknown part: $part" >&2
      exit 2
      ;;
  esac
done

wants() { [[ $parts == *,$1,* ]]; }

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
if wants build; then
  step build "$python" -m pip install -q --no-build-isolation --no-deps .
fi

export FAIL_WITHOUT_CUDA=1
mapfile -t kernels < <(bash .ci/kernel_tests originet_ext)
if wants tests; then
  # The kernels and their machine code first: they need no more than torch and pytest.
  step "kernel tests" "$python" -m pytest -q --slow "${kernels[@]}"
  step "machine code" "$python" -m pytest -q --slow -rs tests/originet_ext/test_sass.py
  if "$python" -c 'import cv2, hypothesis, pandas, skimage, sklearn, skvideo, typer'; then
    step "all tests" "$python" -m pytest -q --slow
  else
    echo "== all tests: left out, for want of the package above"
  fi
fi

if wants sanitize; then
  # A subset: the sanitizers slow a kernel down a hundredfold.
  subset="cuda and (match_reference or matches_reference or head_and_tail or layouts or tiles or packed"
  subset+=" or not_copied or fused_normalisation or strided_rows)"
  for tool in memcheck racecheck initcheck; do
    step "$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$python" -m pytest -q -x "${kernels[@]}" -k "$subset"
  done
fi

for subject in rrelu active-image model loso; do
  if wants "$subject"; then
    step "bench $subject" "$python" -c 'from originet.cli import main; main()' bench \
      --device cuda --subject "$subject" --out "$out" --commit "$commit" "${options[@]}"
  fi
done

# The model (bench/gpu_model.py) reads machine code for sm_90.
if wants rrelu && wants active-image && [[ $TORCH_CUDA_ARCH_LIST == *9.0* ]]; then
  step "modelled and measured" "$python" bench/gpu_model.py --out "$(mktemp)" --measured "$out"
fi

if ((${#failed[@]})); then
  printf 'failed: %s\n' "${failed[@]}"
  exit 1
fi
echo "all passed"
