"""What every FlickrHub service shares: messages, topology, clients, settings, errors."""
