#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# scripts/format.sh           formats every C++ file in place
# scripts/format.sh --check   changes nothing; lists what is not formatted and fails
set -eu
cd "$(dirname "$0")/.."
. scripts/sources.sh
formatter=${CLANG_FORMAT:-}
for name in clang-format-14 clang-format; do
  [ -n "$formatter" ] || ! command -v "$name" >/dev/null || formatter=$name
done
if [ -z "$formatter" ]; then
  echo "format.sh: there is no clang-format; install clang-format-14 (apt-get install clang-format-14)" >&2
  exit 77
fi
case ${1:-} in
  --check)
    # One line for each file, not for each place in it.
    wrong=$(sources | xargs -0 "$formatter" --dry-run -Werror 2>&1 | sed -n 's/^\(\.[^:]*\):[0-9]*:[0-9]*: error.*/\1/p' | sort | uniq -c)
    [ -z "$wrong" ] || { printf '%s\n' "not formatted (places, file); run scripts/format.sh:" "$wrong"; exit 1; }
    ;;
  '') sources | xargs -0 "$formatter" -i ;;
  *) echo "usage: scripts/format.sh [--check]" >&2; exit 2 ;;
esac
