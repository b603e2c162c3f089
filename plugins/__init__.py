"""The built-in plugins: one folder a subject; they use only the public names of ambientkit."""
