"""What ours is measured against, each as its manual would have it. Run as programs: MODELS names the folder of the artifacts."""
