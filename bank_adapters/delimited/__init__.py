"""Delimited text and spreadsheets read by profile."""
