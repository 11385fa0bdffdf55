"""Hold each file of a corpus, as libFuzzer leaves it, against msgpack's verdict.

python -m tests.fuzz <directory>
"""

from __future__ import annotations

import sys
from pathlib import Path

from asgi_shm._ashm import lib
from tests.fuzz.msgpack_says import verdict


def main(directory: str) -> int:
    wrong = verdicts = 0
    for path in sorted(Path(directory).iterdir()):
        body = path.read_bytes()
        ours, theirs = lib.ashm_check_body(body, len(body)), verdict(body)
        verdicts += 1
        if ours != theirs:
            wrong += 1
            sys.stderr.write(f"{path}: body.c says {ours}, msgpack {theirs}\n")
    sys.stdout.write(f"body.c and msgpack differ on {wrong} of {verdicts} bodies\n")
    return 1 if wrong or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
