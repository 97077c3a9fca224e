"""`python -m tests.campaigns NAME [--minutes M] [--seed S]`; exits 1 when a promise is broken."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.campaigns import (
    api_campaign,
    blackholes_campaign,
    cancel_campaign,
    clock_campaign,
    database_campaign,
    disk_campaign,
    events_campaign,
    faults_campaign,
    hostile_campaign,
    idempotency_campaign,
    mixed_campaign,
    network_campaign,
    poison_campaign,
    rolling_campaign,
    rotation_campaign,
    silence_campaign,
    soak_campaign,
    upgrade_campaign,
    valkey_campaign,
)
from tests.campaigns.checker import Finding, table

CAMPAIGNS: dict[str, Callable[..., list[Finding]]] = {
    "api": api_campaign.run,
    "blackholes": blackholes_campaign.run,
    "cancel": cancel_campaign.run,
    "clock": clock_campaign.run,
    "database": database_campaign.run,
    "disk": disk_campaign.run,
    "events": events_campaign.run,
    "faults": faults_campaign.run,
    "hostile": hostile_campaign.run,
    "idempotency": idempotency_campaign.run,
    "mixed": mixed_campaign.run,
    "network": network_campaign.run,
    "poison": poison_campaign.run,
    "rolling": rolling_campaign.run,
    "rotation": rotation_campaign.run,
    "silence": silence_campaign.run,
    "soak": soak_campaign.run,
    "upgrade": upgrade_campaign.run,
    "valkey": valkey_campaign.run,
}


def main() -> int:
    """Run one campaign with visible progress; its folder is kept when a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns")
    parser.add_argument("name", choices=sorted(CAMPAIGNS))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    began = time.monotonic()

    def say(sentence: str) -> None:
        print(f"[{time.monotonic() - began:7.1f} s] {sentence}", flush=True)

    say(f"campaign {arguments.name}, seed {arguments.seed}, {arguments.minutes:g} minutes")
    folder = Path(tempfile.mkdtemp(prefix=f"dragoman-{arguments.name}-"))
    seconds = arguments.minutes * 60
    findings = CAMPAIGNS[arguments.name](folder, seconds=seconds, seed=arguments.seed, say=say)
    print(table(findings))
    broken = [finding for finding in findings if not finding.holds]
    print(f"{len(broken)} of {len(findings)} findings are broken; database and logs: {folder}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
