# Completion of continuo for fish. Use it: continuo completion fish > ~/.config/fish/completions/continuo.fish
function __continuo_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct | string collect --allow-empty)
    for line in ($before[1] complete -- $before[2..-1] "$current" 2>/dev/null)
        switch $line
            case ':files' ':dirs'
                __fish_complete_path "$current"
            case '*'
                echo $line
        end
    end
end
complete -c continuo -f -a '(__continuo_complete)'
