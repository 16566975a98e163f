# SPDX-License-Identifier: Apache-2.0
# Completion of lshm's commands, options and topics for bash. Commands and options are those that
# `lshm help` prints, topics those that the broker has; a broker that does not answer is not waited
# for.

_lshm_ask_s=0.5

# The names of topics, through the same socket as the command's.
_lshm_topics() {
    local tool=$1 i socket=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} != --socket ]] || socket=(--socket "${COMP_WORDS[i + 1]}")
    done
    timeout "$_lshm_ask_s" "$tool" topic ls "${socket[@]}" 2>/dev/null </dev/null |
        awk 'NR > 1 && $1 ~ /^[A-Za-z0-9_.\/-]+$/ { print $1 }' # compgen expands its words
}

# The options that the help on stdin lists.
_lshm_options() {
    echo --help
    awk '{
        if ($1 ~ /^--/) print $1
        while (match($0, /\[--[a-z-]+/)) {
            print substr($0, RSTART + 1, RLENGTH - 1)
            $0 = substr($0, RSTART + RLENGTH)
        }
    }'
}

_lshm() {
    local tool=$1 current=$2 previous=$3 command= verb= words i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --socket | --file | --chunk | --line-max | --rate | --count | --slots | --memory-max | \
            --numa-node | --ring | --wait | --stall | --history | --retain | --wait-subscribers | \
            --limit | --timeout | --window | --interval | --duration)
            ((i++))
            ;;
        -*) ;;
        *)
            if [[ -z $command ]]; then
                command=${COMP_WORDS[i]}
            elif [[ -z $verb ]]; then
                verb=${COMP_WORDS[i]}
            fi
            ;;
        esac
    done

    case $previous in
    --socket | --file)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --wait | --timeout | --duration | --interval | --stall)
        words="forever 250ms 1s 5s 1m"
        ;;
    --chunk | --line-max | --memory-max)
        words="4K 64K 1M 16M"
        ;;
    --count | --rate | --slots | --ring | --window | --wait-subscribers | --limit | --history | \
        --retain | --numa-node)
        return
        ;;
    *)
        if [[ $current == -* ]]; then
            words=$("$tool" help ${command:+"$command"} 2>/dev/null | _lshm_options)
        elif [[ -z $command || $command == help ]]; then
            words=$("$tool" help 2>/dev/null | awk '/^  [a-z]/ { print $1 }')
        else
            case $command:$verb in
            topic:) words="ls info rm" ;;
            client:) words=ls ;;
            topic:info | topic:rm | holders: | pub: | sub: | hz: | bw: | delay: | latency:)
                words=$(_lshm_topics "$tool")
                ;;
            esac
        fi
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _lshm lshm
