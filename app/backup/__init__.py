"""Backups: where they are kept, how a copy is made and restored, and which server may write."""
