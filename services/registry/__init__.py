"""MLflow's registry: versions, stages, trusted loading, and following promotions."""
