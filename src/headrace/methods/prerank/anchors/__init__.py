"""Who writes users' interests as codes, by the names that a TOML uses. What one has to have: `writer.AnchorWriter`."""

ANCHOR_WRITERS = {
    "causal": "headrace.methods.prerank.anchors.causal:CausalWriter",
    "chat": "headrace.methods.prerank.anchors.chat:ChatWriter",
    "lora": "headrace.methods.prerank.anchors.lora:LoraWriter",
}
