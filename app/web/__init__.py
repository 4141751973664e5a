"""The pages and their JSON: one blueprint per audience, one function per URL."""
