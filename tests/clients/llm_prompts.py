"""`llm` against a running Dragoman: one line of JSON for each of its command lines.

Runs in the clients' environment, where LLM_USER_PATH names a folder with its settings. Standard
input: {"commands": {case: [argument, …]}}. What is run is what the command `llm` runs; a process
for each would import for two seconds.
"""

from __future__ import annotations

import json
import sys

from click.testing import CliRunner
from llm.cli import cli


def main() -> None:
    asked = json.load(sys.stdin)
    for case, arguments in asked["commands"].items():
        done = CliRunner().invoke(cli, arguments)
        told = {"status": done.exit_code, "said": done.stdout, "complained": done.stderr}
        print(json.dumps({"case": case, "told": told}), flush=True)


if __name__ == "__main__":
    main()
