#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# usage.sh SOURCE   scripts that need arguments say which when they get none.
set -u
cd "$1" || exit 1
wrong=0
for script in scripts/count_syscalls.sh scripts/count_instructions.sh scripts/fuzz.sh scripts/vm.sh bench/peers.sh \
  bench/store_vs_rsync.sh; do
  said=$("$script" 2>&1 >/dev/null)
  status=$?
  case $said in
    *usage:*"${script##*/}"* | *"$script"*"PROGRAM"*) [ "$status" -eq 2 ] && continue ;;
  esac
  echo "$script without arguments: status $status, \"$said\""
  wrong=1
done
exit $wrong
