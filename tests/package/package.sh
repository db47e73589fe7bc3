#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds and checks the Debian packages in roots of a release: package.sh RELEASE FOLDER. FOLDER keeps them.
set -eu
release=$1
folder=$2
cd "$(dirname "$0")/../.."
rm -rf "$folder"
sh tests/roots/root.sh "$release" --keep "$folder/root" sh tests/package/build.sh
mkdir -p "$folder/packages"
cp "$folder"/root/source/build/packages/*.deb "$folder/packages"
rm -rf "$folder/root"
# root.sh takes the tree without build folders: the packages travel beside it.
sh tests/roots/root.sh "$release" --keep "$folder/root" true
mkdir -p "$folder/root/source/build"
cp -r "$folder/packages" "$folder/root/source/build/packages"
sh tests/roots/root.sh "$release" --keep "$folder/root" sh tests/package/install.sh
rm -rf "$folder/root"
