#!/usr/bin/env bash
# Runs the tests of the TypeScript library against bin/continuo (CONTINUO_BIN), with the packages of its lock file.
set -euo pipefail
cd "$(dirname "$0")/.."

${GO:-go} build -o bin/continuo-proxy ./test/sdk/continuo-proxy
cd sdk/ts
npm ci --no-audit --no-fund --loglevel=error
npm test
