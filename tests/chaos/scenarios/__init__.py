"""One fault a module: ``FAULT`` and ``MUST_HOLD`` in words, and ``run``, which returns figures."""
