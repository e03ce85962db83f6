"""The command ``mmtjax``: one file for each of its commands."""

from mmtjax.cli.main import main as main
