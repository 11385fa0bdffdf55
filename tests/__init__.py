"""The tests of asgi_shm, by the question that they answer."""
