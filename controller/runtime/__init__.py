"""The operator as a process: work queue, reconcilers, watches, HTTP."""
