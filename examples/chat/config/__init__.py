"""The Django project around the chat app: settings, routes, the ASGI application."""
