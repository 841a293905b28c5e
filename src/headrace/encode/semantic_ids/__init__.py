"""Items as short codes that carry meaning: like items share their first codes. The table is what [ids] method means in a TOML."""

QUANTISERS = {
    "residual_kmeans": "headrace.encode.semantic_ids.residual_kmeans:ResidualKMeans",
    "rqvae": "headrace.encode.semantic_ids.rqvae:RqVae",
}
