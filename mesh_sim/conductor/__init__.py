"""The rehearsal of the witness test: stages set up, clients watched until they are done, stages put back."""
