"""Looking at a policy: films, a browser's view, and one page of report."""
