#!/usr/bin/env bash
# Lets a client of each library meet in one room, against bin/continuo (CONTINUO_BIN). The Python one runs in .venv, the TypeScript one
# as it was built last; both were made by the runners before this one.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ! -e sdk/ts/dist/index.js ]]; then
  (cd sdk/ts && npm ci --no-audit --no-fund --loglevel=error && npm run build --silent)
fi
export PYTHON=$PWD/.venv/bin/python
"${GO:-go}" vet -tags peers ./test/sdk
"${GO:-go}" test -count=1 -tags peers -run TestThreeLanguages -v ./test/sdk
