#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs a program of a build in a virtual machine (QEMU; emulated where the processor cannot do better).
#
#   scripts/vm.sh [-b BUILD] [-m MACHINE] run PROGRAM [ARGUMENT…]   PROGRAM: a path, or the name of one in BUILD
#   scripts/vm.sh [-b BUILD] [-m MACHINE] shell COMMAND             a line for the guest's shell, run in BUILD
#   scripts/vm.sh [-b BUILD] image                                  makes the image, which is kept in BUILD/vm-image
#
# BUILD: a build directory, ./build unless given. MACHINE: a file of tests/vm/machines, numa unless given. Output and exit
# status are the program's; 77 says that, and why, this host cannot. KFX_VM_SECONDS: how long it may take (120).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
usage() { sed -n '3,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

build=build machine=numa
while getopts b:m: option; do
  case $option in
    b) build=$OPTARG ;;
    m) machine=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage
build=$(realpath "$build")
image=$build/vm-image
mkdir -p "$image"
# Tests of one build run side by side; the image is made once.
exec 9>"$image/lock"
flock 9
bash "$root/tests/vm/build_image.sh" "$image"
exec 9>&-

what=$1
shift
case $what in
  image) exit ;;
  run)
    [ $# -gt 0 ] || usage
    program=$1
    shift
    [ -x "$program" ] || program=$(find "$build" -type f -name "$program" -perm -u+x | head -n 1)
    [ -n "$program" ] || { echo "vm.sh: there is no such program in $build; build it first" >&2; exit 2; }
    command=$(printf '%q ' "$(realpath "$program")" "$@")
    ;;
  shell) command="$*" ;;
  *) usage ;;
esac
exec bash "$root/tests/vm/boot.sh" "$image" "$machine" "$root,$build" "cd $(printf %q "$build") && $command"
