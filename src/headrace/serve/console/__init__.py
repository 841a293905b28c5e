"""Pages for people, under /console: a file a page, its template beside the others, all it loads in `static`. They read, and change nothing."""
