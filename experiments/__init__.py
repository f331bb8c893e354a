"""The programs: flags in, files out; everything they do is in the library."""
