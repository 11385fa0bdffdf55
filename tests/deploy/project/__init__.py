"""The smallest Django project with websockets, a group and a worker."""
