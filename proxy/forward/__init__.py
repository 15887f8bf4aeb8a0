"""The forwarding engine: one epoll loop that moves TCP and UDP."""
