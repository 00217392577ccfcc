"""Ways in: messages, HTTP, time. Each hands a model to a use case and returns."""
