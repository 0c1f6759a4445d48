"""Options that several commands have, and the settings that they make."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from originet.system.choices import DATASETS, EXECUTORS, METHODS, TASKS
from originet.system.errors import InputError
from originet.system.limits import LARGEST_IMAGE, MAX_PIXELS, frames_up_to
from originet.system.lock import held
from originet.system.memory import keep_freed_memory
from originet.training.config import (
    CLASS_WEIGHTS,
    MOST_EPOCHS,
    MOST_IN_BATCH,
    MOST_SEEDS,
    PRECISIONS,
    PROTOCOLS,
    SAMPLINGS,
    SELECTIONS,
    VARIANTS,
    Config,
)

if TYPE_CHECKING:
    import torch

    from originet.evaluation.executors import Executor as AnyExecutor

DEFAULTS = Config()
_words = ", ".join

Method = Annotated[str, typer.Option(help=f"Reading of the active image: {_words(METHODS)}.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:N; the GPU, if there is one, by default.")
]

# Of the commands that read a data set.
Name = Annotated[str, typer.Argument(help=f"The data set: {_words(DATASETS)}.")]
Root = Annotated[
    Path, typer.Argument(help="Its folder: annotations and frames are found at any depth.")
]
Annotations = Annotated[
    Path | None, typer.Option(help="The workbook (for folder: a CSV file) to read.")
]
Sheet = Annotated[
    str | None, typer.Option(help="The workbook's sheet, if several hold coded clips.")
]
Frames = Annotated[
    Path | None, typer.Option(help="The folder of the frames, if the root holds several.")
]
SetName = Annotated[
    str | None,
    typer.Option("--name", help="What a set of your own clips is called; folder by default."),
]
Task = Annotated[
    str | None,
    typer.Option(help=f"How emotions become classes: {_words(TASKS)}; the paper's by default."),
]
ClipsFile = Annotated[
    Path | None,
    typer.Option("--clips", help="Restrict it to the clips of a CSV file: subject, clip, dataset."),
]
MicroOnly = Annotated[
    bool, typer.Option("--micro-only", help="Leave the macro-expressions of CAS(ME)^2 out.")
]
Jobs = Annotated[int | None, typer.Option(help="Clips at a time; by default as many as cores.")]
CropFace = Annotated[
    bool | None,
    typer.Option(
        "--crop-face/--no-crop-face",
        help="Cut out the face first; by default where a data set's frames show more than it.",
    ),
]


def _limit_frames(context: typer.Context, pixels: int | None) -> int | None:
    """Sets the limit for as long as the command runs, in all that reads frames for it."""
    if pixels is not None:
        context.with_resource(frames_up_to(pixels))
    return pixels


# Its value is not passed on: the callback sets it.
MaxPixels = Annotated[
    int | None,
    typer.Option(
        callback=_limit_frames,
        help=f"Pixels that a frame may have; {MAX_PIXELS} by default.",
    ),
]

# Of the commands that train: named as the fields of `Config` are, but for the repeatable ones.
Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH",
        help="Stores of `originet prepare`, or a data set's root: <emotion>/<subject>/<clip>, "
        "a CSV, or what --dataset says.",
    ),
]
Results = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
Dataset = Annotated[
    str | None,
    typer.Option(help=f"What a root holds: {_words(DATASETS)}; folder by default."),
]
Protocol = Annotated[
    str,
    typer.Option(
        help=f"How images are split: {_words(PROTOCOLS)}; paper augments before it, which leaks."
    ),
]
Epochs = Annotated[
    int, typer.Option(help=f"Passes over the training images, at most {MOST_EPOCHS:,}.")
]
BatchSize = Annotated[int, typer.Option(help=f"Images a step, 3 to {MOST_IN_BATCH:,}.")]
LearningRate = Annotated[float, typer.Option(help="Adam's step.")]
WeightDecay = Annotated[float, typer.Option(help="L2 penalty.")]
ClassWeights = Annotated[str, typer.Option(help=f"Weights in the loss: {_words(CLASS_WEIGHTS)}.")]
Sampling = Annotated[str, typer.Option(help=f"Images of an epoch: {_words(SAMPLINGS)}.")]
Rotation = Annotated[
    list[int] | None, typer.Option(help="An angle of the augmentation, -180 to 180; repeatable.")
]
Equalize = Annotated[bool, typer.Option(help="Add histogram-equalised training images.")]
ValidationFraction = Annotated[float, typer.Option(help="Share of the training clips held out.")]
Select = Annotated[
    str, typer.Option(help=f"Weights to keep, of the best epoch or the last: {_words(SELECTIONS)}.")
]
Precision = Annotated[
    str, typer.Option(help=f"Arithmetic of training steps: {_words(PRECISIONS)}; tf32 on a GPU.")
]
Seed = Annotated[
    list[int] | None,
    typer.Option(help=f"One whole run, from 0 on; repeatable, at most {MOST_SEEDS:,}."),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        help=f"Pixels, 16 to {LARGEST_IMAGE}; {DEFAULTS.image_size} by default for a root."
    ),
]
Variant = Annotated[str, typer.Option(help=f"OrigiNet's variant: {_words(VARIANTS)}.")]

# How they compute: named as the fields of the executors are.
Executor = Annotated[
    str,
    typer.Option(help=f"Where folds are computed: {_words(EXECUTORS)} (a cluster, or here)."),
]
FoldsAtOnce = Annotated[
    int | None, typer.Option(help="Folds trained in turn (serial); 1, on a GPU 8.")
]
CudaGraph = Annotated[
    bool | None,
    typer.Option(
        "--cuda-graph/--no-cuda-graph", help="Steps as CUDA graphs (serial); on by default."
    ),
]
Workers = Annotated[
    int | None, typer.Option(help="Folds at a time (processes); by default as many as cores.")
]
Threads = Annotated[
    int | None,
    typer.Option(help="Threads of a fold (serial, processes); the cores are shared by default."),
]
Address = Annotated[
    str | None, typer.Option(help="Of a Ray cluster; by default $RAY_ADDRESS, or Ray starts here.")
]
CpusPerTask = Annotated[int | None, typer.Option(help="Cores and threads of a fold (ray); 1.")]
GpusPerTask = Annotated[float | None, typer.Option(help="GPUs of a fold (ray), as 0.25; 0.")]
Retries = Annotated[
    int | None, typer.Option(help="New starts of a fold whose worker or node died (ray); 3.")
]
Weights = Annotated[
    bool,
    typer.Option("--weights/--no-weights", help="Keep the weights of every fold."),
]

_REPEATABLE = {"rotation": "rotations", "seed": "seeds"}


class Run(NamedTuple):
    """What the options that all commands have that train ask for.

    Attributes:
        config: The settings; of images those that were asked for, which `read_clips` may correct.
        executor: How folds are computed.
        device: Where.
        clips: What `originet.cli.inputs.read_clips` is asked for, by the names of its arguments.
    """

    config: Config
    executor: "AnyExecutor"
    device: "torch.device"
    clips: dict[str, Any]


def run_of(
    dataset: Dataset = None,
    annotations: Annotations = None,
    sheet: Sheet = None,
    frames: Frames = None,
    task: Task = None,
    clips: ClipsFile = None,
    micro_only: MicroOnly = False,
    set_name: SetName = None,
    device: Device = None,
    protocol: Protocol = DEFAULTS.protocol,
    epochs: Epochs = DEFAULTS.epochs,
    batch_size: BatchSize = DEFAULTS.batch_size,
    learning_rate: LearningRate = DEFAULTS.learning_rate,
    weight_decay: WeightDecay = DEFAULTS.weight_decay,
    class_weights: ClassWeights = DEFAULTS.class_weights,
    sampling: Sampling = DEFAULTS.sampling,
    rotation: Rotation = None,
    equalize: Equalize = DEFAULTS.equalize,
    validation_fraction: ValidationFraction = DEFAULTS.validation_fraction,
    select: Select = DEFAULTS.select,
    precision: Precision = DEFAULTS.precision,
    seed: Seed = None,
    method: Method = DEFAULTS.method,
    image_size: ImageSize = None,
    crop_face: CropFace = None,
    max_pixels: MaxPixels = None,
    variant: Variant = DEFAULTS.variant,
    executor: Executor = "serial",
    threads: Threads = None,
    folds_at_once: FoldsAtOnce = None,
    cuda_graph: CudaGraph = None,
    workers: Workers = None,
    address: Address = None,
    cpus_per_task: CpusPerTask = None,
    gpus_per_task: GpusPerTask = None,
    retries: Retries = None,
) -> Run:
    """Makes of the options what they ask for.

    Raises:
        InputError: If a value is outside its range, or there is no such executor or device.
    """
    given = dict(locals())
    keep_freed_memory()  # this process is the command's own
    named = {_REPEATABLE.get(name, name): value for name, value in given.items()}
    fields = {field.name for field in dataclasses.fields(Config)}
    config = Config(**{k: v for k, v in named.items() if k in fields and v not in (None, [])})
    runner = executor_of(given)
    names = ("dataset", "annotations", "sheet", "frames", "task", "clips", "micro_only", "set_name")
    asked = {name: given[name] for name in (*names, "image_size", "crop_face")}
    return Run(config, runner, runner.pick_device(device), asked)


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of `run_of` after its own, and its folder to it alone.

    Args:
        command: Takes, besides its own parameters, among which is `out`, a folder, `run`, a `Run`.

    Returns:
        The command as typer reads it.
    """
    own = [p for p in signature(command).parameters.values() if p.name != "run"]
    shared = signature(run_of).parameters

    @functools.wraps(command)
    def with_options(**values: Any) -> None:
        run = run_of(**{name: values.pop(name) for name in shared})
        with held(values["out"]):  # before the minutes that images may take
            command(run=run, **values)

    parameters = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in (*own, *shared.values())
    ]
    with_options.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_options


def executor_of(options: Mapping[str, Any]) -> "AnyExecutor":
    """Makes the executor that a command's options ask for.

    Args:
        options: Values by name, as in `locals()` at the command's start.

    Returns:
        The executor.

    Raises:
        InputError: If there is no such executor, it does not take an option that was given, or a
            value is outside its range.
    """
    name = options["executor"]
    if name not in EXECUTORS:
        raise InputError(f"--executor must be one of {_words(EXECUTORS)}, got {name!r}")
    from originet.evaluation import executors  # not before: a wrong name is told at once

    kinds = executors.EXECUTORS
    takes = {
        each: {field.name for field in dataclasses.fields(kind)} for each, kind in kinds.items()
    }
    known = set().union(*takes.values())
    given = {k: v for k, v in options.items() if k in known and v is not None}
    for option, value in given.items():
        if option not in takes[name]:
            others = " or ".join(each for each in kinds if option in takes[each])
            flag = "--" + option.replace("_", "-")
            raise InputError(f"{flag} {value} is for --executor {others}, not {name}")
    return kinds[name](**given)
