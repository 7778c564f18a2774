"""The pages in a real browser, as people use them: for ``make test-browser``, skipped elsewhere."""
