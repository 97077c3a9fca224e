"""`completion`: the script that teaches a shell our words, and what the script asks.

The shells call `dragoman completion complete -- WORD…`; the last word is the one being typed. Each
answer is a line, the word and a tab before what it is; `:files` alone stands for names of files.
"""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete

from cli.session import App

BASH = r"""_dragoman() {
    local line="${COMP_LINE:0:COMP_POINT}" word="" known="" value rest words
    local IFS=$' \t\n'
    read -ra words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    word="${words[${#words[@]}-1]}"
    # Model ids hold colons, at which readline begins a new word.
    [[ "$word" == *:* && "$COMP_WORDBREAKS" == *:* ]] && known="${word%"${word##*:}"}"
    COMPREPLY=()
    while IFS=$'\t' read -r value rest; do
        if [[ "$value" == ":files" ]]; then
            compopt -o default 2>/dev/null
        else
            COMPREPLY+=("${value#"$known"}")
        fi
    done < <("$1" completion complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _dragoman dragoman
"""

ZSH = r"""#compdef dragoman
_dragoman() {
    local -a described
    local line value files=""
    while IFS= read -r line; do
        if [[ "$line" == ":files" ]]; then
            files=1
        else
            value="${line%%$'\t'*}"
            described+=("${value//:/\\:}:${line#*$'\t'}")
        fi
    done < <("${words[1]}" completion complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( ${#described} )) && _describe -V dragoman described
    [[ -n "$files" ]] && _files
}
compdef _dragoman dragoman
"""

FISH = r"""function __dragoman_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] completion complete -- $words[2..-1] 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete --no-files --command dragoman --arguments "(__dragoman_complete)"
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
_HELP = """Print the completion script of a shell.

\b
bash: add to ~/.bashrc              source <(/path/to/dragoman completion bash)
zsh:  add to ~/.zshrc               source <(/path/to/dragoman completion zsh)
fish: save as                       ~/.config/fish/completions/dragoman.fish

Slugs of providers, ids of models, jobs and keys come from the server.
"""


@click.group("completion", help=_HELP, short_help="Print the completion script of a shell.")
def group() -> None:
    """Its subcommands are the shells."""


def _add(shell: str, script: str) -> None:
    @group.command(shell, help=f"Print the script for {shell}.")
    def show() -> None:
        click.echo(script, nl=False)


for _shell, _script in SCRIPTS.items():
    _add(_shell, _script)


@group.command("complete", hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def complete(context: click.Context, words: tuple[str, ...]) -> None:
    """Print what could stand in place of the last word."""
    root = context.find_root()
    shell = ShellComplete(root.command, {"obj": context.find_object(App)}, "dragoman", "")
    *before, incomplete = words or ("",)
    for found in shell.get_completions(list(before), incomplete):
        if found.type in ("file", "dir"):
            click.echo(":files")
        elif "\n" not in (text := f"{found.value}\t{found.help or ''}"):
            click.echo(text)
