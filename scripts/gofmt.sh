#!/usr/bin/env bash
# Checks (no argument) or rewrites (-w) the format of every Go file of the tree, generated and build-tagged ones included.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:--l}
changed=$(find . \( -name .git -o -name .venv -o -name node_modules -o -name bin -o -name dist \) -prune \
  -o -name '*.go' -print0 | xargs -0 -r gofmt "$mode")
if [[ -n $changed ]]; then
  echo "gofmt would change these files (make fmt does it):" >&2
  echo "$changed" >&2
  exit 1
fi
