# SPDX-License-Identifier: Apache-2.0
# Completion of qosbatch, qosbatch-serve and qosbatch-mpi in bash. Words come from --help, so they are always
# those of the installed version.
_qosbatch()
{
	local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} help=(--help)
	if [ "${program##*/}" = qosbatch ]; then
		if [ "$COMP_CWORD" = 1 ]; then
			COMPREPLY=($(compgen -W "$("$program" --help 2>/dev/null | sed -n 's/^  \([a-z]*\) .*/\1/p')" -- "$word"))
			return
		fi
		help=(help "${COMP_WORDS[1]}")
	fi
	case $word in
	-*) COMPREPLY=($(compgen -W "$("$program" "${help[@]}" 2>/dev/null | grep -o -- '--[a-z][a-z-]*' | sort -u)" -- "$word")) ;;
	*) COMPREPLY=($(compgen -f -W "alexnet resnet50" -- "$word")) ;;
	esac
}
complete -o filenames -F _qosbatch qosbatch qosbatch-serve qosbatch-mpi
