#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# scripts/lint.sh [build directory [file…]]   clang-tidy over the library (or these files), shellcheck over scripts.
# The build directory is one that meson made; without it a new one is set up and removed again.
set -eu
cd "$(dirname "$0")/.."
for tool in clang-tidy meson ninja; do
  command -v "$tool" >/dev/null || { echo "lint.sh: there is no $tool; install it (apt-get install clang-tidy meson)" >&2; exit 77; }
done
build=${1:-}
[ $# -eq 0 ] || shift
if [ -z "$build" ]; then
  build=$(mktemp -d "${TMPDIR:-/tmp}/kfx-lint.XXXXXX")
  trap 'rm -rf "$build"' EXIT INT TERM
  meson setup "$build" -Dtests=false -Dbench=false >/dev/null
fi
status=0
if [ $# -gt 0 ]; then
  printf '%s\0' "$@"
else
  find src backends tools -name '*.cpp' -print0
fi | xargs -0 -n 1 -P "${KFX_JOBS:-$(nproc)}" clang-tidy -p "$build" --quiet || status=1
if command -v shellcheck >/dev/null; then
  find scripts .ci tests bench -type f \( -name '*.sh' -o -path './.ci/run' \) -print0 | xargs -0 -r shellcheck -x || status=1
else
  echo "lint.sh: no shellcheck here, scripts are not checked (apt-get install shellcheck)" >&2
fi
exit $status
