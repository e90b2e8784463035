# Completion of host programs and host paths, for bash. The host is asked; where it does not answer, nothing is offered.

_hrun_ask() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(hrun --complete "$1" -- "$2" 2>/dev/null)
    if [[ $1 != program ]]; then
        compopt -o filenames
        # More of the path may follow.
        [[ ${COMPREPLY[0]-} != */ ]] || compopt -o nospace
    fi
}

_hrun() {
    local word=${COMP_WORDS[COMP_CWORD]} index=1 kind=option
    # As far as it is plain text, the word without its quotes.
    word=${word//\\/} word=${word#[\"\']}
    while ((index < COMP_CWORD)); do
        case ${COMP_WORDS[index]} in
            --)
                kind=program
                ((index += 1))
                break
                ;;
            @VALUED@) ((index += 2)) ;;
            # The parts of --OPTION=VALUE.
            = | -*) ((index += 1)) ;;
            *) break ;;
        esac
    done
    if ((index < COMP_CWORD)) || [[ $word == */* ]]; then
        _hrun_ask path "$word"
    elif ((index > COMP_CWORD)); then
        COMPREPLY=()
    elif [[ $kind == option && $word == -* ]]; then
        COMPREPLY=($(compgen -W '@OPTIONS@' -- "$word"))
    else
        _hrun_ask program "$word"
    fi
}

_hcd() {
    local word=${COMP_WORDS[COMP_CWORD]}
    word=${word//\\/}
    _hrun_ask directory "${word#[\"\']}"
}

complete -F _hrun hrun
complete -F _hcd hcd
