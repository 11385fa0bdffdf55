"""``asgi-shm``, the tool of whoever operates a site: see ``asgi-shm --help``.

Each module has the commands of one concern; `asgi_shm.cli.main` puts them together.
"""
