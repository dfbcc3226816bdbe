#!/usr/bin/env bash
# What has to be run on the first machine with an NVIDIA GPU: parity, sizing, ticks; with HF_TOKEN the real weights too.
# Prints everything and ends with 1 if a check fails.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
failed=0

step() {
    echo "== $*"
    "$@" || { echo "FAILED: $*"; failed=1; }
}

if ! "$bin/python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "torch sees no GPU here: install a driver, and a CUDA build of torch into .venv"
    exit 1
fi
step "$bin/python" -c 'import torch; print(torch.__version__, torch.version.cuda, torch.cuda.get_device_name())'
for case in tests/fixtures/personaplex/*.json; do
    step "$bin/splitbrain" check personaplex --parity "$case" --dtype float32
    step "$bin/splitbrain" check personaplex --parity "$case" --dtype float32 --batch 8
    step "$bin/splitbrain" check personaplex --parity "$case" --dtype bfloat16
done
step "$bin/splitbrain" models size personaplex
step "$bin/python" -m benchmarks.personaplex_ticks --size 7b --device cuda --sessions 1 2 8 16
if [[ -n "${HF_TOKEN:-}" ]]; then
    step "$bin/splitbrain" models pull personaplex
    step "$bin/python" -m benchmarks.personaplex_ticks --weights default --device cuda --sessions 1 2 8 16
fi
exit "$failed"
