"""A client for Novita.ai's GPU instance API: typed values out, typed errors out, no Django.

`client.Novita` has one method per endpoint; `types` holds what comes back and `errors` what may go wrong.
"""
