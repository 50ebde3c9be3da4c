"""What each part of the page shows, computed from the JSON results.

Every function takes the content of agreement.json or cost.json, of this version or an older one,
and returns what the template prints; None or an empty list where the part does not exist.
"""
