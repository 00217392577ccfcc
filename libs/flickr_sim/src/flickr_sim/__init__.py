"""A simulator of the Flickr API, judged by clients that nobody here wrote."""
