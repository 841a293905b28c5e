"""Language models taught what to say: each file is one way, and gives a `Learned` on chats."""
