"""Several programs in a row: the demo, a rehearsal, an export."""
