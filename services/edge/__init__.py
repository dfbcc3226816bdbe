"""The edge: clients' sockets on one side, a session's streams on the other. Stateless."""
