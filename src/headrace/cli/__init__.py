"""Thin verbs: parse, call, print. Nothing else prints."""
