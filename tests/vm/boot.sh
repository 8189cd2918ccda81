#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tests/vm/boot.sh IMAGE MACHINE DIRECTORY[,DIRECTORY…] COMMAND   runs a shell command in a virtual machine: as root, on
# the host's root, read-only. The directories (of programs under test, say) are visible even where the guest has a
# file system of its own, such as /tmp. /mnt is shared with a directory that goes afterwards.
#
# Output and exit status are the command's. 124: it did not end in time (KFX_VM_SECONDS, 120), or never began; then the
# guest's console is shown. 77, with the reason: this host cannot run a virtual machine.
set -euo pipefail
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
image=$1 machine=$2 shares=$3 command=$4

skip() { echo "no virtual machine: $*" >&2; exit 77; }

command -v qemu-system-x86_64 >/dev/null || skip "there is no qemu-system-x86_64; install qemu-system-x86"
[ "$(uname -m)" = x86_64 ] || skip "the image is for x86_64, this is $(uname -m)"
[ -r "$here/machines/$machine" ] || { echo "there is no machine \"$machine\"; there are: $(ls "$here/machines")" >&2; exit 2; }

# They travel on the kernel's command line.
case $shares in *[[:space:]]*) skip "a directory with spaces in its name cannot be shared: $shares" ;; esac

memory=512 cpus=2 modules=() append="" qemu=()
# shellcheck disable=SC1090  # a machine
. "$here/machines/$machine"

# A device file says nothing where the processor cannot do it.
accel=(-accel "tcg,thread=multi" -cpu max)
if grep -qwE 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ]; then accel=(-accel kvm -cpu host); fi

job=$(mktemp -d)
trap 'rm -rf "$job"' EXIT
mkdir "$job/share"
printf '%s\n' "$command" >"$job/share/command"

share() {  # tag directory [readonly]
  qemu+=(-fsdev "local,id=$1,path=$2,security_model=none,multidevs=remap${3:+,readonly=on}"
    -device "virtio-9p-pci,bus=pcie.0,fsdev=$1,mount_tag=$1")
}
share root / readonly
IFS=, read -ra list <<<"$shares"
for i in "${!list[@]}"; do share "share$i" "${list[$i]}" readonly; done
share job "$job/share"

seconds=${KFX_VM_SECONDS:-120} status=0
timeout -k 5 "$seconds" qemu-system-x86_64 "${accel[@]}" -M q35 -m "$memory" -smp "$cpus" \
  -nodefaults -no-user-config -display none -no-reboot \
  -kernel "$image/vmlinuz" -initrd "$image/initrd.img" \
  -append "console=ttyS0 quiet panic=-1 tsc=reliable kfx.share=$shares kfx.modules=$(IFS=,; echo "${modules[*]}") $append" \
  -serial "file:$job/console" -serial stdio "${qemu[@]}" </dev/null || status=$?

[ ! -s "$job/share/status" ] || exit "$(cat "$job/share/status")"
echo "the virtual machine ended without a result (emulator: $status, of 124: after $seconds s); its console ends with:" >&2
tail -n 30 "$job/console" >&2 || true
exit 124
