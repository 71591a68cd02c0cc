"""A site for the class: static pages about how everybody did, for staff."""
