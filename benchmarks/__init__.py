"""Measures channel layers against one another and against the floor under them.

A *layer* is anything that Django Channels could be given as ``BACKEND`` and
``CONFIG``. A *workload* is what is done with it. A *floor* is the least that
Python and the operating system charge for the same work, with no layer at all.

``python -m benchmarks`` runs all of them in fresh processes and writes a table;
``pytest benchmarks`` runs them under pytest-benchmark. Both read the same
workloads, so that a figure means the same in either.
"""
