#!/bin/sh
# Checks the build for CUDA on a machine with a GPU, with what `cargo xtask gpu` packed beside it. Prints a table
# `check | measured | limit | ok`, and ends with 1 if a check failed. `run.sh quick` leaves out the measurements of speed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
if ! nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then
  echo "This machine has no CUDA device, so nothing was checked." >&2
  exit 1
fi

# The libraries of CUDA are inside Python's packages.
libraries=$(python3 -c '
import glob, site, sys
roots = site.getsitepackages() + [site.getusersitepackages()] + sys.path
print(":".join(sorted({path for root in roots for path in glob.glob(f"{root}/nvidia/*/lib")})))')
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

failed=0
log=$(mktemp)
# Runs a command for at most so many seconds; shows its rows, and, if it failed, the end of what else it said.
check() {
  seconds=$1
  shift
  timeout "$seconds" "$@" >"$log" 2>&1
  status=$?
  grep ' | ' "$log"
  if [ "$status" -ne 0 ]; then
    failed=1
    echo "$* ended with $status:"
    grep -v ' | ' "$log" | tail -n 40
  fi
}

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
echo "check | measured | limit | ok"
check 150 "$here/conformance" --nocapture --test-threads 1 on_a_cuda_device
check 120 python3 "$here/traces.py" "$here"
if [ "${1:-}" != quick ]; then
  check 110 python3 "$here/speed.py" "$here"
fi
check 90 python3 "$here/graphs.py" "$here" cuda "${1:-}"
rm -f "$log"
exit "$failed"
