"""Calls to addresses that tenants have named: where they may go, and how they are made."""
