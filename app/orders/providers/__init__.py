"""Payment providers behind one Protocol: the sandbox cashier, which is built in, and WeChat Pay."""
