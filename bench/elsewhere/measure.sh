#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Measures a machine with many cores in less than 8 minutes: the node, default profiles, estimated against
# measured, and what plans made from the default profiles lose against plans from all splits.
# sh measure.sh [RESULTS], in a folder made by pack.sh; profiles go to RESULTS (./results).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
results=${1:-$here/results}
began=$(date +%s)
mkdir -p "$results"

say()
{
	echo "== $(($(date +%s) - began)) s: $*"
}

with_libraries()
{
	program=$1
	shift
	"$here/lib/ld-linux-x86-64.so.2" --library-path "$here/lib" "$here/$program" "$@"
}

qosbatch()
{
	with_libraries qosbatch "$@"
}

# One that fails must not keep the others from being measured.
try()
{
	"$@" || echo "FAILED ($?): $*"
}

default_profile()
{
	say "default profile of $1"
	try qosbatch profile "$1" -o "$results/$1.json" --max-batch 32 --quiet
	say "$1: estimated against measured"
	try qosbatch evaluate "$results/$1.json" --time-budget "$2"
}

# full_table MODEL SECONDS: powers of two as instances and as threads, and the machine's cores.
full_table()
{
	counts=1
	n=2
	while [ $n -lt "$cores" ]; do
		counts=$counts,$n
		n=$((2 * n))
	done
	[ "$cores" = 1 ] || counts=$counts,$cores
	say "all splits of $1"
	try qosbatch profile "$1" -o "$results/$1_all.json" --instances "$counts" --threads "$counts" \
		--max-batch 32 --time-budget "$2" --quiet
}

judge()
{
	say "$1: what the default profile loses against all splits"
	try with_libraries search --profile "$results/$1.json" "$results/$1_all.json"
}

say "node"
try qosbatch node -o "$results/node.json"
cores=$(sed -n 's/.*"usable_threads": *\([0-9]*\).*/\1/p' "$results/node.json")
default_profile resnet50 30
default_profile alexnet 20
full_table resnet50 120
full_table alexnet 50
judge alexnet
judge resnet50
say "done"
