"""Programs that each run one speech model in a process of their own. Services start them; nothing imports them."""
