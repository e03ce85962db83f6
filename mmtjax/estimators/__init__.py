"""Estimators turn a factor and a map into magnetizations."""
