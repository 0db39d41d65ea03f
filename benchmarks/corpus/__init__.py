"""The security corpus: what a hostile client or upstream sends, as data, and the rig that plays it over real sockets."""
