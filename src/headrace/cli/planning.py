"""headrace plan: how to lay a large model out over so many GPUs, before any of them is paid for."""

from typing import Annotated

import typer

planning_app = typer.Typer()


@planning_app.command()
def plan(
    params: Annotated[float, typer.Option(help="Parameters, such as 530e9.")],
    gpus: Annotated[int, typer.Option(min=1, help="GPUs in all.")],
    layers: Annotated[int | None, typer.Option(min=1, help="Left out: from the parameters, 195 times as wide as deep.")] = None,
    dim: Annotated[int | None, typer.Option(min=1, help="Width. Left out: from the parameters.")] = None,
    heads: Annotated[int | None, typer.Option(min=1, help="Left out: 160 wide each, narrower in narrow models.")] = None,
    vocabulary: Annotated[int, typer.Option(min=1, help="Tokens; the embedding is on the first and the last stage.")] = 50_272,
    length: Annotated[int, typer.Option(min=1, help="Tokens a row.")] = 2_048,
    batch: Annotated[int, typer.Option(min=1, help="Rows a step; more of them make the bubble small.")] = 1_920,
    micro_batch: Annotated[int, typer.Option(min=1, help="Rows a stage computes at once.")] = 1,
    recompute: Annotated[str, typer.Option(help="auto, always or never: a forward more for less memory.")] = "auto",
    gpu_memory_gb: Annotated[float, typer.Option(min=1, help="Of one GPU.")] = 80.0,
    memory_share: Annotated[
        float, typer.Option(min=0.1, max=1, help="Of it that may be planned; links' buffers and fragments want the rest.")
    ] = 0.75,
    node_gpus: Annotated[int, typer.Option(min=1, help="GPUs a machine: tensor ranks stay inside one.")] = 8,
    tflops: Annotated[float, typer.Option(min=0.001, help="Of a GPU while it computes.")] = 160.0,
) -> None:
    """How to lay a large model out: tensor x pipeline x data, memory by part, bubble, time of a step, and why not otherwise.

    Example:  headrace plan --params 530e9 --gpus 3360
    """
    from headrace.cli.layouts import Asked, show_plan

    show_plan(
        Asked(
            parameters=params, gpus=gpus, layers=layers, dim=dim, heads=heads, vocabulary=vocabulary, length=length, batch=batch,
            micro=micro_batch, recompute=recompute, memory_gb=gpu_memory_gb, memory_share=memory_share, node_gpus=node_gpus,
            tflops=tflops,
        )
    )  # fmt: skip
