"""The bundle: its format, the reader, the golden episode and its verification."""
