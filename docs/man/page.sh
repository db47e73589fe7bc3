#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the manual page of a program or of one of its commands, from what --help says:
# page.sh HELP2MAN PROGRAM [COMMAND]
set -eu
help2man=$1
program=$2
command=${3:-}
name=${program##*/}${command:+-$command}
version=$("$program" --version | sed -n '1s/^[^ ]* \([0-9.]*\).*/\1/p')
summary=$("$program" ${command:+"$command"} --help | sed -n '3s/\.$//p')
title=$(echo "$name" | tr '[:lower:]' '[:upper:]')
"$help2man" --no-info --section=1 --version-string="$version" --name="$summary" --source="qosbatch $version" \
	--manual="User Commands" "$program${command:+ $command}" |
	sed -e "s/^\.TH [^ ]* /.TH $title /" -e "s/^${program##*/}${command:+ $command} \\\\-/$name \\\\-/"
