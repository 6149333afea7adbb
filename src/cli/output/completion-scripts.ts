/**
 * The completion scripts: each asks `parentfs complete` for candidates, a line each, and knows `:files` and
 * `:directories`.
 */

const bash = `# parentfs completion for bash: eval "$(parentfs completion bash)"
_parentfs() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in
      :files) compopt -o default 2>/dev/null ;;
      :directories) compopt -o dirnames 2>/dev/null ;;
      *) COMPREPLY+=("$(printf '%q' "$line")") ;;
    esac
  done < <("\${COMP_WORDS[0]}" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _parentfs parentfs
`

const zsh = `#compdef parentfs
# parentfs completion for zsh: eval "$(parentfs completion zsh)"
_parentfs() {
  local line
  for line in "\${(@f)$("\${words[1]}" complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case "$line" in
      '') ;;
      :files) _files ;;
      :directories) _files -/ ;;
      *) compadd -- "$line" ;;
    esac
  done
}
compdef _parentfs parentfs
`

const fish = `# parentfs completion for fish: parentfs completion fish | source
function __parentfs_complete
  set -l words (commandline -opc) (commandline -ct)
  for line in (command $words[1] complete -- $words[2..-1] 2>/dev/null)
    switch $line
      case :files
        __fish_complete_path (commandline -ct)
      case :directories
        __fish_complete_directories (commandline -ct)
      case '*'
        echo $line
    end
  end
end
complete -c parentfs -f -a '(__parentfs_complete)'
`

/** By shell. */
export const completionScripts: Readonly<Record<'bash' | 'zsh' | 'fish', string>> = { bash, zsh, fish }
