"""ClusterServingRuntime: a ServingRuntime for every namespace."""
