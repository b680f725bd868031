"""An exact share of a queue's messages for a canary: ledger, allocator, stores, HTTP."""
