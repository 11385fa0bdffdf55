"""One web worker: uvicorn on the listening socket whose descriptor is the argument.

The event loop is named by the second argument, the processor's place by the third.
"""

import os
import signal
import socket
import sys
import threading

import uvicorn

from benchmarks import pinning


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    descriptor, loop, place = sys.argv[1:]
    pinning.pin(int(place))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    config = uvicorn.Config(
        "benchmarks.site.asgi:application", loop=loop, lifespan="off", log_level="warning"
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(descriptor))])
