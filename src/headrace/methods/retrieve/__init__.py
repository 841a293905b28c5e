"""Candidates from the whole catalogue. The table below is what a TOML's short names mean; an import path works as well."""

RETRIEVERS = {
    "popularity": "headrace.methods.retrieve.popularity:Popularity",
    "content": "headrace.methods.retrieve.content:Content",
    "itemknn": "headrace.methods.retrieve.itemknn:ItemKNN",
    "markov": "headrace.methods.retrieve.markov:Markov",
    "mender": "headrace.methods.retrieve.mender:Mender",
    "ease": "headrace.methods.retrieve.ease:EASE",
    "liger": "headrace.methods.retrieve.liger:LIGER",
    "sasrec": "headrace.methods.retrieve.sasrec:SASRec",
    "standalone": "headrace.methods.retrieve.standalone:Standalone",
    "tiger": "headrace.methods.retrieve.tiger:TIGER",
    "two_tower": "headrace.methods.retrieve.two_tower:TwoTower",
}
