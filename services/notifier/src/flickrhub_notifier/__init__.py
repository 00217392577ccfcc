"""FlickrHub notifier: sends signed callbacks until they arrive or give up."""
