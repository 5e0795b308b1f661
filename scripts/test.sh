#!/usr/bin/env bash
# Runs the checks and tests of the repository, one runner after the other, and ends with one closing line per runner.
#
#   scripts/test.sh quick   what a commit must pass
#   scripts/test.sh all     everything, JavaScript and Python included
#
# A failing runner does not stop the others: one run shows everything that is wrong. The logs stay in bin/test-logs.
set -uo pipefail
cd "$(dirname "$0")/.."

mode=${1:?usage: scripts/test.sh quick|all}
GO=${GO:-go}
logs=bin/test-logs
rm -rf "$logs" && mkdir -p "$logs" || exit 1
CONTINUO_BIN=$PWD/bin/continuo
export CONTINUO_BIN
closing=()
failed=0

# runner NAME COMMAND… runs the command, keeps its log, and notes its closing line.
runner() {
  local name=$1 began=$SECONDS status=0 verdict=ok
  shift
  echo "=== $name"
  "$@" 2>&1 | tee "$logs/$name.log" || status=$?
  if ((status != 0)); then
    verdict=FAILED
    failed=1
  fi
  closing+=("$(printf '%-12s %-7s %5d s  %s' "$name" "$verdict" $((SECONDS - began)) "$(scripts/closing.sh "$logs/$name.log")")")
}

# gotest ARGUMENT… tests all packages (internal/arch had its own runner) and condenses the events of go test to closing
# lines, failures and summaries.
gotest() {
  local packages
  $GO -C tools build -o ../bin/gotest ./gotest || return 1
  packages=$($GO list ./... | grep -v '/internal/arch$') || return 1
  # shellcheck disable=SC2086 # one word per package
  $GO test -json -race -p 2 -vet=off "$@" $packages | bin/gotest
}

vet() {
  $GO vet ./... && $GO -C tools vet ./...
}

$GO build -o bin/continuo-proxy ./test/sdk/continuo-proxy || exit 1 # what the tests of the client libraries cut connections with

runner gofmt scripts/gofmt.sh
runner vet vet
runner staticcheck $GO tool -modfile=tools/go.mod staticcheck ./...
runner arch $GO test -count=1 ./internal/arch/
runner tools $GO -C tools test -count=1 ./...
case $mode in
quick)
  runner go-test gotest -short -timeout 5m
  ;;
all)
  runner go-test gotest -count=1 -timeout "${GOTEST_TIMEOUT:-15m}"
  runner javascript scripts/test-js.sh
  if [[ -e sdk/ts/package.json ]]; then
    runner typescript scripts/test-sdk-ts.sh
  fi
  runner python scripts/test-python.sh
  runner languages scripts/test-languages.sh
  ;;
*)
  echo "unknown mode $mode" >&2
  exit 2
  ;;
esac

echo "=== closing lines"
printf '%s\n' "${closing[@]}"
if ((failed)); then
  echo "FAILED"
  exit 1
fi
echo "PASSED"
