#!/usr/bin/env bash
# Runs the Python tests, those of the SDK too, against bin/continuo (CONTINUO_BIN), in .venv with exactly the packages of the lock file.
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
"${GO:-go}" build -o bin/continuo-proxy ./test/sdk/continuo-proxy
# The SDK is tested as it lies in the tree, and its subprocesses find it there, too.
export PYTHONPATH=$PWD/sdk/python/src
.venv/bin/python -m pytest -q -c test/python/pytest.ini --rootdir . test/python sdk/python/tests
