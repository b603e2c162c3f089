"""The recipes that ship with ambientkit, as package data."""
