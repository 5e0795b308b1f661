#!/usr/bin/env bash
# Runs the JavaScript tests against bin/continuo (CONTINUO_BIN), with the packages of the lock file.
set -euo pipefail
cd "$(dirname "$0")/../test/js"

npm ci --no-audit --no-fund --loglevel=error
node --test --test-timeout=300000 --test-reporter=spec
