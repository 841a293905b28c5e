"""Pages for people, under /console: a file a page, its template beside the others, what it loads in `static`.

They read, and change nothing: what is asked there is neither logged nor counted as an answer.
"""
