//! The gateway: all sockets of port 8050 on one thread.
