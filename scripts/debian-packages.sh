#!/usr/bin/env bash
# Installs the missing packages of debian-packages.txt, when this is Debian and we are root; otherwise names them.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
while read -r package probe; do
  [[ -z $package || $package == \#* ]] && continue
  bash -c "$probe" >/dev/null 2>&1 || missing+=("$package")
done <debian-packages.txt
if ((${#missing[@]} == 0)); then
  exit 0
fi
if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
  echo "missing on this machine: ${missing[*]} (names of the Debian packages); some tests will fail without them" >&2
  exit 0
fi
echo "installing ${missing[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
