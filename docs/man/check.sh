#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every page has a name and options, and man has nothing to warn of.
bad=0
for page in "$@"; do
	warnings=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
	text=$(LC_ALL=C.UTF-8 MANWIDTH=80 man -l "$page" 2>/dev/null | col -b)
	case $text in
	*NAME*SYNOPSIS*DESCRIPTION*) ;;
	*) warnings="$warnings no NAME, SYNOPSIS or DESCRIPTION" ;;
	esac
	[ -z "$warnings" ] || {
		echo "$page: $warnings"
		bad=1
	}
done
exit $bad
