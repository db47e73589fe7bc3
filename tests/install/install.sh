#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs into a staging folder and builds a program outside of the tree against it.
set -eu
source=$1
build=$2
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
DESTDIR=$stage meson install -C "$build" --no-rebuild --quiet

pc=$(find "$stage" -name qosbatch.pc)
export PKG_CONFIG_PATH="${pc%/*}"
export PKG_CONFIG_SYSROOT_DIR="$stage"
[ "$(pkg-config --modversion qosbatch)" = "$("$build/tools/qosbatch/qosbatch" --version | sed -n '1s/^qosbatch \([0-9.]*\).*/\1/p')" ]

# The program of the README, as a user would copy it.
sed -n '/^```c$/,/^```$/p' "$source/README.md" | sed '/^```/d' >"$stage/readme.c"
[ -s "$stage/readme.c" ]
# shellcheck disable=SC2046
${CC:-cc} -std=c11 -Wall -Wextra -Werror "$stage/readme.c" -o "$stage/readme" $(pkg-config --cflags --libs qosbatch)
library=$(find "$stage" -name 'libqosbatch.so')
LD_LIBRARY_PATH="${library%/*}" "$stage/readme" "$source/tests/fixtures/alexnet.json"

# The same through CMake's package, where there is CMake.
if command -v cmake >/dev/null; then
	mkdir "$stage/cmake"
	cat >"$stage/cmake/CMakeLists.txt" <<-TEXT
		cmake_minimum_required(VERSION 3.18)
		project(readme C)
		find_package(qosbatch 0.1 REQUIRED)
		add_executable(readme ../readme.c)
		target_link_libraries(readme qosbatch::qosbatch)
	TEXT
	cmake -S "$stage/cmake" -B "$stage/cmake/build" -DCMAKE_PREFIX_PATH="${library%%/lib/*}" >/dev/null
	cmake --build "$stage/cmake/build" >/dev/null
	"$stage/cmake/build/readme" "$source/tests/fixtures/alexnet.json"
fi
