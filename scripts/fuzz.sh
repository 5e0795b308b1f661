#!/usr/bin/env bash
# Runs each fuzz target of the tree for FUZZTIME (20s). A failing target does not stop the others; its input is kept by
# the Go tool under testdata/fuzz and belongs into the commit that fixes it.
set -euo pipefail
cd "$(dirname "$0")/.."

GO=${GO:-go}
fuzztime=${FUZZTIME:-20s}
ran=0
failed=()
while IFS=: read -r file line; do
  package=./$(dirname "$file")
  target=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/' <<<"$line")
  echo "=== $package $target ($fuzztime)"
  ran=$((ran + 1))
  $GO test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" "$package" || failed+=("$package $target")
done < <(grep -rE --include='*_test.go' --exclude-dir=node_modules --exclude-dir=.venv \
  '^func Fuzz[A-Za-z0-9_]*\([a-z]+ \*testing\.F\)' internal sdk cmd test 2>/dev/null | sort)

echo "fuzz: $ran targets, ${#failed[@]} failed, $fuzztime each"
if ((${#failed[@]} > 0)); then
  printf 'FAILED %s\n' "${failed[@]}"
  exit 1
fi
