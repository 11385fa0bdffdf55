"""A Django app: put ``asgi_shm.django`` into INSTALLED_APPS.

It adds checks of CHANNEL_LAYERS to ``manage.py check``, and ``manage.py shm``, which is
``asgi-shm`` with the options of the site's layers. The layer itself works without it.
"""
