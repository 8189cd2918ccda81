#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tests/vm/build_image.sh DIRECTORY   makes DIRECTORY/vmlinuz and DIRECTORY/initrd.img from Debian's packages, if they
# are not there, or this file or the guest's init changed since. Installs nothing, needs no root: a kernel is downloaded
# and unpacked, and of it stays what boots. Exit status 77, with the reason, where it cannot be had.
set -euo pipefail
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
mkdir -p "$1" && cd "$1"

skip() { echo "no virtual machine: $*" >&2; exit 77; }

# Everything else (test programs, libraries, tools) the guest takes from the host's root, over 9p.
modules="virtio_pci 9p 9pnet_virtio virtio_net"

stamp=$(cat "$here/build_image.sh" "$here/guest_init" | cksum)
[ "$(cat stamp 2>/dev/null)" != "$stamp" ] || exit 0
for tool in busybox cpio depmod xz dpkg-deb apt-get; do
  command -v $tool >/dev/null || skip "there is no $tool; install busybox-static cpio kmod xz-utils"
done
# A busybox that needs libraries is no first process.
! ldd "$(command -v busybox)" >/dev/null 2>&1 || skip "busybox is not static; install busybox-static"

rm -rf work stamp && mkdir work && trap 'rm -rf work' EXIT
cd work
package=
for meta in linux-image-6.12-amd64 linux-image-amd64; do
  # Read to its end: a pipe that closes early would count as a failure.
  package=$(apt-cache depends $meta 2>/dev/null | awk '/Depends: linux-image/ && !n++ {print $2}') || true
  [ -z "$package" ] || break
done
[ -n "$package" ] || skip "apt knows no kernel; run apt-get update"
apt-get download -q "$package" >apt.log 2>&1 || skip "cannot download $package: $(tail -n 1 apt.log)"
mkdir kernel && dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x -C kernel ./boot ./lib/modules
version=${package#linux-image-}
depmod -b kernel "$version" 2>/dev/null

root=initrd
mkdir -p $root/{bin,sbin,proc,sys,dev,host} "$root/lib/modules/$version"
cp "$(command -v busybox)" $root/bin/busybox
ln -s ../bin/busybox $root/sbin/modprobe  # the kernel calls it
# Each module with all it needs, unpacked, because busybox cannot.
add() {  # path below lib/modules/version
  local to=$root/lib/modules/$version/${1%.xz}
  [ -e "$to" ] || { mkdir -p "${to%/*}" && { xz -dc "kernel/lib/modules/$version/$1" 2>/dev/null || cat "kernel/lib/modules/$version/$1"; } >"$to"; }
}
for m in $modules; do
  files=$(awk -F: -v m="$m" '{f = $1; sub(/.*\//, "", f); sub(/\.ko(\.xz)?$/, "", f); gsub(/-/, "_", f)} f == m {print $1 $2}' \
    "kernel/lib/modules/$version/modules.dep")
  for f in $files; do add "$f"; done  # none: it is built in
done
cp "kernel/lib/modules/$version"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$version/"
depmod -b $root "$version"
cp "$here/guest_init" $root/init
(cd $root && find . | cpio -o -H newc --quiet) >../initrd.img
cp "kernel/boot/vmlinuz-$version" ../vmlinuz
cd .. && echo "$stamp" >stamp
