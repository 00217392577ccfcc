"""FlickrHub on one machine: every server, the simulator and every service, under supervisor."""
