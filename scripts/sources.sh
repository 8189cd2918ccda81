# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
# For the other scripts: `sources` prints the C++ files of the checkout, null-separated. Works without git, too.
sources() {
  find . -type d \( -name .git -o -name 'build*' -o -name .cache -o -name subprojects \) -prune \
    -o -type f \( -name '*.cpp' -o -name '*.hpp' \) -print0
}
