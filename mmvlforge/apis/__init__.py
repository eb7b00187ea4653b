"""The one door for people: the command line, pages, tools and notebooks go through here."""
