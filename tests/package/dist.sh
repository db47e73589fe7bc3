#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by 'meson dist' on the tree that becomes the archive: its folder gets the date of the commit, as its files
# have it, so that the archive of a commit is always the same.
set -eu
touch -d "@$(git -C "$MESON_SOURCE_ROOT" log -1 --format=%ct)" "$MESON_DIST_ROOT"
