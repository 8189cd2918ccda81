#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# install_test.sh SOURCE BUILD   installs into a scratch directory and uses only that: a Meson and a CMake project that
# find kfx through pkg-config, and a backend that is loaded at run time.
set -eu
source_root=$1
build=$2
scratch=$(mktemp -d "${TMPDIR:-/tmp}/kfx-install.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
# Not from the environment that the test happens to run in.
unset CXXFLAGS CFLAGS LDFLAGS KFX_BACKENDS KFX_LISTEN DESTDIR

say() { echo "-- $*"; }

# A bare Debian has no dpkg-dev, without which Meson chooses directories that nobody searches there. What is tested below is
# found in any directory, because it is told where.
if [ -f /etc/debian_version ]; then
  say "the recipe in README.md, on a bare Debian"
  mkdir "$scratch/bare"
  printf '#!/bin/sh\nexit 1\n' >"$scratch/bare/dpkg-architecture"
  chmod +x "$scratch/bare/dpkg-architecture"
  # What it asks for is what CI has.
  # shellcheck disable=SC2013  # words
  for p in $(sed -n 's/^apt-get install //p' "$source_root/README.md"); do
    grep -qw -- "$p" "$source_root/scripts/install-packages.sh" || { echo "README.md installs an unknown $p" >&2; exit 1; }
  done
  options=$(sed -n 's/^meson setup build //p' "$source_root/README.md")
  [ -n "$options" ] || { echo "README.md has no recipe any more" >&2; exit 1; }
  # shellcheck disable=SC2086  # a list of words
  PATH=$scratch/bare:$PATH meson setup "$scratch/recipe" "$source_root" $options >"$scratch/log" 2>&1 ||
    { cat "$scratch/log"; exit 1; }
  if grep 'kfx (the tool)' "$scratch/log"; then echo "the recipe leaves the tool out" >&2; exit 1; fi
  libdir=/usr/local/$(meson introspect "$scratch/recipe" --buildoptions |
    python3 -c 'import json, sys; print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "libdir"))')
  pkg-config --variable pc_path pkg-config | tr : '\n' | grep -qx "$libdir/pkgconfig" ||
    { echo "pkg-config does not look into $libdir" >&2; exit 1; }
  # Those that are not there are complained of.
  /sbin/ldconfig -v -N -X 2>&1 | grep -qE "(^|stat )$libdir:" || { echo "ldconfig does not look into $libdir" >&2; exit 1; }
fi

say "install"
DESTDIR=$scratch/root meson install -C "$build" --no-rebuild --quiet
pc=$(find "$scratch/root" -name kfx.pc)
[ -n "$pc" ] || { echo "no kfx.pc was installed" >&2; exit 1; }
PKG_CONFIG_PATH=$(dirname "$pc")
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
if grep -rIl -e "$source_root" -e "$build" "$scratch/root" --include='*.hpp' --include='*.pc'; then
  echo "the files above, which were installed, name the place they were built in" >&2
  exit 1
fi
[ "$(pkg-config --modversion kfx)" = "$(meson introspect "$build" --projectinfo | sed 's/.*"version": "\([^"]*\)".*/\1/')" ]
# Nothing within the library is installed.
if find "$scratch/root" -name '*.hpp' | grep -E '/(wire|engine|cm|memory|base|node)/[^/]*\.hpp$'; then
  echo "the internal headers above were installed" >&2
  exit 1
fi

say "Meson project"
cp -r "$source_root/tests/install/consumer" "$scratch/consumer"
cp "$source_root/examples/01-hello/hello.cpp" "$scratch/consumer/"
meson setup "$scratch/with-meson" "$scratch/consumer" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
ninja -C "$scratch/with-meson" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
"$scratch/with-meson/hello"

say "CMake project"
cmake -G Ninja -S "$scratch/consumer" -B "$scratch/with-cmake" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
ninja -C "$scratch/with-cmake" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
"$scratch/with-cmake/hello"

say "backend out of the tree"
cp -r "$source_root/tests/install/backend" "$scratch/backend"
meson setup "$scratch/twin" "$scratch/backend" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
ninja -C "$scratch/twin" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
twin=$scratch/twin/kfx_twin.so
"$scratch/twin/twin_user" "$twin" option
KFX_BACKENDS=$twin "$scratch/twin/twin_user" "$twin"
# Without it, the scheme is unknown and the program says so.
if "$scratch/twin/twin_user" "$twin" 2>"$scratch/log"; then
  echo "twin:// worked although nobody loaded its backend" >&2
  exit 1
fi
grep -q twin "$scratch/log" || { echo "the missing backend is not named in:"; cat "$scratch/log"; exit 1; } >&2
say "all well"
