#!/usr/bin/env bash
# Runs the Python tests against bin/continuo (CONTINUO_BIN), in .venv with exactly the packages of the lock file.
set -euo pipefail
cd "$(dirname "$0")/.."

lock=test/python/requirements.lock
stamp=.venv/installed.lock
if ! cmp -s "$lock" "$stamp"; then
  rm -rf .venv
  "${PYTHON:-python3}" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r "$lock"
  cp "$lock" "$stamp"
fi
.venv/bin/python -m pytest -q test/python
