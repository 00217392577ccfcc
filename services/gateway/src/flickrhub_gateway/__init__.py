"""FlickrHub gateway: takes calls over HTTP, keeps jobs and their state."""
