"""The figures of the paper: one module a panel, one style sheet for all."""
