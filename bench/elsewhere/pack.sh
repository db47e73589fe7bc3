#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts the tool, what it is linked with and measure.sh into a folder that runs on any x86-64 Linux,
# without packages: pack.sh BUILD FOLDER
set -eu
build=$1
folder=$2

rm -rf "$folder"
mkdir -p "$folder/lib"
cp "$(dirname "$0")/measure.sh" "$folder/"
# The loader and the C library come along: those of another machine may be older.
for program in "$build/tools/qosbatch/qosbatch" "$build/bench/search"; do
	cp "$program" "$folder/"
	ldd "$program" | sed -n 's/^[^/]*\(\/[^ ]*\) (.*/\1/p' | xargs -I{} cp -Lu {} "$folder/lib/"
done
strip "$folder/lib/"libqosbatch.so* "$folder/qosbatch" "$folder/search"
echo "$(du -sm "$folder" | cut -f1) MiB in $folder; there: sh measure.sh [RESULTS]"
