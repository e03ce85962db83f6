"""The experiment before the scan: answers of the library as smooth functions of what can be chosen."""
