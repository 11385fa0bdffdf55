"""One web worker: uvicorn on the listening socket whose file descriptor is the argument."""

import socket
import sys

import uvicorn

if __name__ == "__main__":
    config = uvicorn.Config(
        "config.asgi:application",
        lifespan="off",  # Django has no such part
        log_level="warning",
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
