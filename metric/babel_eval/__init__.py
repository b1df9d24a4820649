"""Measuring a model: encoders, features on disk, runs, results, reports."""
