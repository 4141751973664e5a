"""The fixtures of all tests: people who use the service in process, and real servers."""

pytest_plugins = ["people", "real_server", "s3", "versions", "beanstalk", "quick"]
