#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Keeps the layout of a release's structs for tests/abi/layout.py: tests/abi/keep.sh 0.1
set -eu
cd "$(dirname "$0")/../.."
mkdir -p "tests/abi/$1"
python3 tests/abi/layout.py --keep include "tests/abi/$1/layout.txt" "${CC:-cc}"
