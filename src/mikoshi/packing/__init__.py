"""From a source tree to a release: collect, build, chunk, store. Runs on the operator's side only."""
