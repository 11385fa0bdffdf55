"""What libFuzzer found out about bodies, held against msgpack."""
