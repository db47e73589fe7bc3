#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Rules a compiler does not know. Prints what breaks them and fails.
set -u
cd "$(dirname "$0")/../.."
bad=0

complain()
{
	echo "lint: $*"
	bad=1
}

# Data flows one way: a folder of lib/ includes itself and those before it.
layers="core node model engine quantize profile estimate queue plan optimize place simulate"
before=
for layer in $layers; do
	before="$before $layer"
	[ -d "lib/$layer" ] || continue
	for file in lib/"$layer"/*.[ch]; do
		for used in $(sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' "$file" | sort -u); do
			case " $before " in
			*" $used "*) ;;
			*) complain "$file includes $used/, which comes after $layer/" ;;
			esac
		done
	done
done
for folder in lib/*/; do
	case " $layers " in
	*" $(basename "$folder") "*) ;;
	*) complain "$folder is in no layer; name its place in tests/lint/lint.sh" ;;
	esac
done

# What is inside of an object stays in its folder: other folders include the narrow header beside it.
for file in $(grep -lE '^#include "[a-z_]+/[a-z_]+_impl\.h"' -r lib --include=*.[ch]); do
	for header in $(sed -n 's/^#include "\([a-z_]*\/[a-z_]*_impl\.h\)".*/\1/p' "$file"); do
		[ "$(dirname "$file")" = "lib/$(dirname "$header")" ] ||
			complain "$file includes $header, which is for its own folder"
	done
done

# One name, one file: people and debuggers name a file without its folder. Programs have a main.c; releases
# keep copies of the headers.
for name in $(find include lib tools examples bench tests -type f \( -name '*.[ch]' -o -name '*.cpp' -o -name '*.py' \) \
	! -name main.c ! -path 'tests/abi/*/include/*' | sed 's|.*/||' | sort | uniq -d); do
	complain "several files are named $name"
done

# No circles among files either; those of a folder depend on one another in one direction.
circles=$(python3 tests/lint/circles.py) || complain "$circles"

# One door to oneDNN, and none from the tool and the examples to the inside.
for file in $(grep -lE '#include <(oneapi/dnnl|dnnl)' -r lib tools examples tests bench --include=*.[ch]); do
	case $file in
	lib/engine/onednn*) ;;
	*) complain "$file includes oneDNN; only lib/engine/onednn*.c may" ;;
	esac
done
for file in $(grep -lE '#include "(core|node|model|engine|profile|estimate|queue|plan|optimize|place|simulate)/' -r tools examples --include=*.[ch]); do
	complain "$file includes a private header"
done

# Memory, printing and exits in the library.
for word in 'malloc(' 'calloc(' 'realloc(' 'printf(' 'fprintf(' 'abort(' 'exit(' 'setlocale(' 'getenv('; do
	for hit in $(grep -nF "$word" -r lib --include=*.c | grep -vE "[_a-z]$(printf %s "$word" | tr -d '(')\(" | cut -d: -f1,2); do
		complain "$hit calls $word); the library does not"
	done
done

# Until a version is released, what is kept for its hosts follows the headers (docs/abi.md).
coming=$(sed -n 's/^## \([0-9]*\.[0-9]*\)\.[0-9]* (not released)$/\1/p' NEWS.md)
kept=tests/abi/$coming/include/qosbatch
[ ! -d "$kept" ] || for name in $(ls include/qosbatch "$kept" | grep '\.h$' | sort -u); do
	cmp -s "include/qosbatch/$name" "$kept/$name" ||
		complain "$kept/$name is not today's; build, then run tests/abi/keep.sh $coming"
done

# What somebody edits, which needs no git to tell: all that is not hidden and not in a build folder.
sources()
{
	find . -name '.?*' -prune -o -path ./build -prune -o -type d -exec test -f '{}/build.ninja' \; -prune \
		-o -type f "$@" -print | sed 's|^\./||' | sort
}

# All files in few processes: one for each would take a minute.
licences()
{
	sources \( -name '*.[ch]' -o -name '*.py' -o -name '*.sh' -o -name dev -o -name meson.build \) | xargs awk '
		function judge() { if (name != "" && !licensed) print name " has no SPDX line" }
		FNR == 1 { judge(); name = FILENAME; licensed = 0 }
		FNR <= 3 && /SPDX-License-Identifier: Apache-2.0/ { licensed = 1 }
		/[ \t]+$/ { print FILENAME " has blanks at the end of line " FNR }
		END { judge() }'
}

# Another major version of the formatter has other ideas of the same style.
formatting()
{
	style=$(sed -n 's/^# clang-format \([0-9]*\)$/\1/p' .clang-format)
	for formatter in "clang-format-$style" clang-format; do
		case $("$formatter" --version 2>/dev/null) in
		*" version $style."*)
			sources -name '*.[ch]' | xargs "$formatter" --dry-run -Werror 2>&1 |
				sed -n "s/^\([^:]*\):.*code should be clang-formatted.*/\1 is not formatted; $formatter -i \1/p" |
				sort -u
			return
			;;
		esac
	done
	echo "lint: there is no clang-format $style here; formatting was not checked" >&2
}

flaws=$(licences && formatting)
if [ -n "$flaws" ]; then
	echo "$flaws" | sed 's/^/lint: /'
	bad=1
fi
exit $bad
