"""What the tests share: clients, servers, storage and the people who use the service."""
