"""``python -m asgi_shm`` is ``asgi-shm``."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
