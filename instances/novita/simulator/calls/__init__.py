"""The calls of the provider, one module per kind of thing; each takes `Context` and answers JSON."""
