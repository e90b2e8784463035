#compdef hrun hcd
# Completion of host programs and host paths, for zsh. The host is asked; where it does not answer, nothing is offered.

_hrun_ask() {
    local -a found
    found=("${(@f)$(hrun --complete $1 -- "${(Q)PREFIX}" 2>/dev/null)}")
    found=(${found:#})
    local -a open=(${(M)found:#*/}) whole=(${found:#*/})
    # More of the path may follow.
    ((${#open})) && compadd -S '' -- $open
    ((${#whole})) && compadd -- $whole
}

_hrun() {
    local index=2 kind=option
    while ((index < CURRENT)); do
        case $words[index] in
            --)
                kind=program
                ((index += 1))
                break
                ;;
            @VALUED@) ((index += 2)) ;;
            -*) ((index += 1)) ;;
            *) break ;;
        esac
    done
    if ((index < CURRENT)) || [[ $PREFIX == */* ]]; then
        _hrun_ask path
    elif ((index > CURRENT)); then
        return 1
    elif [[ $kind == option && $PREFIX == -* ]]; then
        compadd -- @OPTIONS@
    else
        _hrun_ask program
    fi
}

_hcd() {
    _hrun_ask directory
}

(($+functions[compdef])) || { autoload -Uz compinit && compinit -u }
compdef _hrun hrun
compdef _hcd hcd
