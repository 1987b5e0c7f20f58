"""One Chromium for all tests of pages: a process takes no second one."""

from tests.report.browser import start_chromium

__all__ = ["start_chromium"]
