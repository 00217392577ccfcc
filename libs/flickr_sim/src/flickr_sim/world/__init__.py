"""The small world the simulator answers about: people, photos, sets, contacts, tags, favourites and comments."""
