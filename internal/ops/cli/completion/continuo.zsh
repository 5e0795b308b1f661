#compdef continuo
# Completion of continuo for zsh. Use it: continuo completion zsh > "${fpath[1]}/_continuo"
_continuo() {
  local -a found
  local word description
  while IFS=$'\t' read -r word description; do
    case $word in
    :files) _files; return ;;
    :dirs) _files -/; return ;;
    *) found+=("${word//:/\\:}:$description") ;;
    esac
  done < <("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe continuo found
}
if [[ ${funcstack[1]} == _continuo ]]; then
  _continuo "$@"
else
  compdef _continuo continuo
fi
