# Completion of continuo for bash. Use it: source <(continuo completion bash)
_continuo() {
  local current=${COMP_WORDS[COMP_CWORD]} word name
  COMPREPLY=()
  while IFS=$'\t' read -r word _; do
    case $word in
    :files | :dirs)
      compopt -o filenames 2>/dev/null
      while IFS= read -r name; do
        COMPREPLY+=("$name")
      done < <(if [[ $word == :dirs ]]; then compgen -d -- "$current"; else compgen -f -- "$current"; fi)
      ;;
    *) COMPREPLY+=("$word") ;;
    esac
  done < <("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _continuo continuo
