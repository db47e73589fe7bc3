#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In a root of Debian: builds the library for aarch64, without oneDNN, and runs the unit tests under qemu.
set -eu
export DEBIAN_FRONTEND=noninteractive
packages="meson ninja-build pkg-config gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user-static protobuf-c-compiler libonnx-dev"
libraries="libc6-dev libjansson-dev libhwloc-dev libprotobuf-c-dev libcmocka-dev"
if [ ! -f build/cross/build.ninja ]; then
	dpkg --add-architecture arm64
	apt-get update >/dev/null
	# shellcheck disable=SC2046,SC2086
	apt-get install -y --no-install-recommends build-essential $packages $(printf '%s:arm64 ' $libraries) >/dev/null
	meson setup build/cross --cross-file tests/roots/aarch64.ini --werror \
		-Donednn=disabled -Dtests=enabled -Dvips=disabled -Dmpi=disabled
fi
ninja -C build/cross --quiet unit-tests
QB_TEST_CASES=${QB_TEST_CASES:-3} meson test -C build/cross --no-rebuild --print-errorlogs -t 10 --suite unit
