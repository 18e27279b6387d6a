"""One formula of named features: its terms, their search and their selection."""
