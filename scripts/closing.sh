#!/usr/bin/env bash
# Prints the closing line of a runner's log: what go test (condensed), node --test or pytest said last about the whole run.
set -euo pipefail

log=${1:?usage: scripts/closing.sh LOG}
awk '
  /^go test: /                                    { line = $0 }
  /^(ok|FAIL)[ \t]/                               { if (line == "") first = first (first == "" ? "" : "; ") $1 " " $2 }
  /^(ℹ|#) (tests|pass|fail|cancelled|skipped|todo) [0-9]+/ { node = node (node == "" ? "node --test: " : ", ") $3 " " $2 }
  /^=* ?[0-9]+ (passed|failed|skipped|error).* in [0-9.]+s/ { gsub(/^=+ | =+$/, ""); line = "pytest: " $0 }
  END {
    if (node != "") print node
    else if (line != "") print line
    else if (first != "") print first
    else if (NR > 0) print NR " lines of output"
  }' "$log"
