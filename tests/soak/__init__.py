"""Many processes use a layer while some are killed or stopped; all messages are counted.

    python -m tests.soak --minutes 10

runs it for longer than the test does. `storm` says what happens, `tally` what is checked.
"""
