"""FlickrHub auth: OAuth 1.0a with Flickr; owns the tokens and lends them."""
