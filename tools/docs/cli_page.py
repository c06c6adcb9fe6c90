"""docs/cli.md, from the parser of `retrain-ops`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from retrain_ops.cli.main import build_parser
from tools.docs.markdown import GENERATED, table

INTRO = """\
One JSON document goes to standard output (`explain`: text), progress to standard error, and the
exit code says what to do next. `retrain-ops --version` says which release it is, and
`python -m retrain_ops.cli` is the same command."""


def render() -> str:
    """Every command, its options and the exit codes."""
    parser = build_parser()
    parts = ["# Command line", GENERATED, f"`{parser.prog}`: {parser.description}", INTRO]
    parts += ["## Exit codes", _exit_codes(parser.epilog or "")]
    for name, command in _commands(parser).items():
        parts += [f"## {name}", f"{_sentence(command.description or '')}", _options(command)]
    return "\n\n".join(parts) + "\n"


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                below = _commands(command)
                found |= {f"{name} {b}": c for b, c in below.items()} or {name: command}
    return found


def _exit_codes(epilog: str) -> str:
    """The epilog's lines `  <code>  <text>`; a deeper line goes on with the text before it."""
    rows: list[list[str]] = []
    for line in epilog.splitlines()[1:]:
        code, _, text = line.strip().partition(" ")
        if code[:1].isdigit():
            rows.append([code, text.strip()])
        else:
            rows[-1][1] += " " + line.strip()
    return table(["code", "means"], rows)


def _options(command: argparse.ArgumentParser) -> str:
    return table(["option", "", "what it does"], [list(cells) for cells in _rows(command)])


def _rows(command: argparse.ArgumentParser) -> Iterator[tuple[str, str, str]]:
    apart = {a.dest: g for g in command._mutually_exclusive_groups for a in g._group_actions}
    for action in command._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        name = ", ".join(action.option_strings)
        metavar = "STEP" if action.choices else action.metavar or action.dest.upper()
        value = "" if action.nargs == 0 else f" {metavar}"
        others = [
            f"`{other.option_strings[0]}`"
            for group in [apart.get(action.dest)]
            for other in (group._group_actions if group else ())
            if other is not action
        ]
        note = "required" if action.required else f"not with {', '.join(others)}" if others else ""
        yield f"`{(name + value).strip()}`", note, _help(action)


def _help(action: argparse.Action) -> str:
    chosen = ", ".join(f"`{choice}`" for choice in action.choices or ())
    return (action.help or "") + (f": {chosen}" if chosen else "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
