"""The daemon of channels_zmq's "dedicated" layer: what is pushed in is published."""

import sys

import zmq


def main(in_port: str, out_port: str) -> None:
    """Pass on whatever comes, for ever."""
    context = zmq.Context()
    entrance = context.socket(zmq.PULL)
    entrance.bind(f"tcp://127.0.0.1:{in_port}")
    exit_ = context.socket(zmq.PUB)
    exit_.set_hwm(0)  # drop nothing for want of room
    exit_.bind(f"tcp://127.0.0.1:{out_port}")
    zmq.proxy(entrance, exit_)


if __name__ == "__main__":
    main(*sys.argv[1:])
