"""Views: pure functions of a Trace (same Trace, same bytes), for the page, the notebook and the file."""
