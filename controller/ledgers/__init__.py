"""Where share ledgers lie, and what consumers write beside them."""
