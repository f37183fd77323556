#!/usr/bin/env bash
# The first ten minutes on a GPU: are its answers those of the CPU, how fast is it, what can it do?
#
#   bash benchmarks/gpu.sh                                writes benchmarks/gpu/CHIP/results.json
#   MEASURE=100 bash benchmarks/gpu.sh                    begins no measurement after so many seconds
#   SMALL=1 PLATFORM=cpu OUT=/tmp/rehearsal bash benchmarks/gpu.sh    a rehearsal
set -uo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}; PLATFORM=${PLATFORM:-cuda}
# The chip's folder: h100 for an "NVIDIA H100 80GB HBM3".
chip=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1 | cut -d' ' -f2 | tr '[:upper:]' '[:lower:]')
OUT=${OUT:-benchmarks/gpu/${chip:-cpu}}
SMALL=${SMALL:+--small}
mkdir -p "$OUT"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
export XLA_PYTHON_CLIENT_PREALLOCATE=false XDG_CACHE_HOME="$work/cache" TF_CPP_MIN_LOG_LEVEL=2
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv 2>/dev/null || true

plan="plan deepseek-r1 --hardware gb200-nvl72 --isl 16384 --osl 2048 --ftl 5s --ttl 50ms"
search="search deepseek-r1 --hardware gb200-nvl72 --phase decode --isl 1024..65536:9 --osl 128..8192:9 --ttl 50ms"
sensitivity="sensitivity${plan#plan}"
traffic="traffic qwen3-32b --hardware h100 --precision fp8 --ftl 2s --ttl 50ms --poisson 5 --duration 60 --isl 2048 --osl 256"
verbs="plan search sensitivity traffic"
answers() { # answers PLATFORM: of searches, and of the command line, side by side
  local verb jobs=()
  JAX_PLATFORMS=$1 $PYTHON -m benchmarks.gpu.session answers "$work/$1.npz" $SMALL & jobs+=($!)
  for verb in $verbs; do
    { begin=$(date +%s%N)
      JAX_PLATFORMS=$1 $PYTHON -m jaxsim ${!verb} --format json > "$work/$1-$verb.json" || exit 1
      echo "$1: jaxsim $verb $(( ($(date +%s%N) - begin) / 1000000 )) ms" >&2; } & jobs+=($!)
  done
  for verb in "${jobs[@]}"; do wait "$verb" || return 1; done
}
# The CPU's answers are made beside those of the device.
answers cpu 2> "$work/cpu.log" & cpu=$!
failed=0
if [ "$PLATFORM" != cpu ]; then answers "$PLATFORM" || failed=1; fi
JAX_PLATFORMS=$PLATFORM $PYTHON -m benchmarks.gpu.session measure "$OUT/results.json" $SMALL --seconds "${MEASURE:-240}" || failed=1
# From the start of a process: cold, then with its programs kept.
points=1e11; [ -n "$SMALL" ] && points=1e6
JAX_PLATFORMS=$PLATFORM $PYTHON -m benchmarks.gpu.session process "$OUT/process.json" --points $points || failed=1
wait $cpu || { cat "$work/cpu.log"; failed=1; }
if [ "$PLATFORM" != cpu ]; then
  $PYTHON -m benchmarks.gpu.session compare "$work/cpu.npz" "$work/$PLATFORM.npz" || failed=1
  for verb in $verbs; do
    $PYTHON - "$work/cpu-$verb.json" "$work/$PLATFORM-$verb.json" <<'X' || failed=1
import json, math, sys
def differing(a, b, at=""):
    if isinstance(a, dict) and isinstance(b, dict):
        return [d for k in a if "elapsed" not in k and k != "device" for d in differing(a[k], b.get(k), f"{at}.{k}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b)) for d in differing(x, y, f"{at}[{i}]")]
    if {type(a), type(b)} <= {int, float}:
        return [] if math.isclose(a, b, rel_tol=1e-5) else [f"{at}: {a} {b}"]
    return [] if a == b else [f"{at}: {a} {b}"]
found = differing(*(json.load(open(path)) for path in sys.argv[1:]))
print(sys.argv[1].split("-")[-1], "same" if not found else f"{len(found)} differ: {found[:4]}")
sys.exit(bool(found))
X
  done
else
  $PYTHON -m benchmarks.gpu.session compare "$work/cpu.npz" "$work/cpu.npz" || failed=1
fi
# Kernels and passes of this card, which judge the calibrations (where PyTorch is at hand).
if [ "$PLATFORM" != cpu ] && $PYTHON -c 'import torch, triton' 2>/dev/null; then
  $PYTHON -m benchmarks.gpu.kernels "$OUT/kernels.csv" --seconds 60 || failed=1
  $PYTHON -m benchmarks.gpu.passes "$OUT/passes.csv" --seconds 100 || failed=1
fi
exit $failed
