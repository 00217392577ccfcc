"""FlickrHub executor: makes the Flickr calls, inside the limits, with retries."""
