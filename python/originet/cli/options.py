"""Options that several commands share, and the settings made from them."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from originet.system.choices import (
    DATASETS,
    EXECUTORS,
    FACES,
    FLOWS,
    METHODS,
    NETWORKS,
    STILLS,
    TASKS,
)
from originet.system.errors import InputError
from originet.system.limits import LARGEST_IMAGE, MAX_PIXELS, frames_up_to
from originet.system.lock import held
from originet.system.memory import keep_freed_memory
from originet.training.config import (
    CLASS_WEIGHTS,
    LEAVE_OUT,
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
from originet.training.recipes import PAPER, RECIPES, recipe_of

if TYPE_CHECKING:
    import torch

    from originet.evaluation.executors import Executor as AnyExecutor

DEFAULTS = Config()
_words = ", ".join

Method = Annotated[
    str,
    typer.Option(
        help=f"Active-image method: {_words(METHODS)}; a frame: {_words(STILLS)}; a flow: "
        f"{_words(FLOWS)}; or several, separated by commas, as channels."
    ),
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:N; by default the GPU if there is one.")
]

# For commands that read a data set.
NAME = typer.Argument(help=f"The data set: {_words(DATASETS)}.")
ROOT = typer.Argument(help="Its folder; annotations and frames are found at any depth.")
Name = Annotated[str, NAME]
Root = Annotated[Path, ROOT]
Annotations = Annotated[
    Path | None, typer.Option(help="The workbook to read (for folder: a CSV file).")
]
Sheet = Annotated[
    str | None, typer.Option(help="The workbook's sheet, if several hold coded clips.")
]
Frames = Annotated[
    Path | None, typer.Option(help="The folder with the frames, if the root holds several.")
]
SetName = Annotated[
    str | None,
    typer.Option("--name", help="Name of a data set of your own clips; folder by default."),
]
Task = Annotated[
    str | None,
    typer.Option(help=f"How emotions become classes: {_words(TASKS)}; the paper's by default."),
]
ClipsFile = Annotated[
    Path | None,
    typer.Option("--clips", help="Use only the clips in a CSV file: subject, clip, dataset."),
]
MicroOnly = Annotated[
    bool, typer.Option("--micro-only", help="Leave out the macro-expressions of CAS(ME)^2.")
]
Jobs = Annotated[
    int | None, typer.Option(help="Clips processed in parallel; by default one per core.")
]
CropFace = Annotated[
    bool | None,
    typer.Option(
        "--crop-face/--no-crop-face",
        help="Crop to the face first; by default if a data set's frames show more than the face.",
    ),
]

Face = Annotated[
    str | None,
    typer.Option(
        help=f"How a face is found and cut out: {_words(FACES)}; landmarks follows it in every "
        "frame and takes head motion out."
    ),
]


def way_of(face: str | None, crop_face: bool | None) -> tuple[bool | None, str]:
    """Reads how faces are cropped from --face and --crop-face.

    Returns:
        `crop_face` and `face_by` as `originet.clips.clip.open_clip` takes them; the former is None
        if neither option is given.

    Raises:
        InputError: If both options are given, or there is no such way.
    """
    if face is None:
        return crop_face, FACES[0]
    if face not in FACES:
        raise InputError(f"--face must be {_words(FACES)}, got {face!r}")
    if crop_face is not None:
        given = "--crop-face" if crop_face else "--no-crop-face"
        raise InputError(
            f"{given} is short for --face {FACES[0] if crop_face else FACES[2]}: "
            f"leave it out with --face {face}"
        )
    return face != "none", FACES[0] if face == "none" else face


# For commands that read videos, a pipe or a camera.
Camera = Annotated[int | None, typer.Option(help="Read this camera, 0 is the first, until Ctrl-C.")]
Seconds = Annotated[
    float | None,
    typer.Option(help="Stop a camera or pipe after this time; Ctrl-C stops it earlier."),
]


def is_live(paths: Sequence[Path], camera: int | None, seconds: float | None) -> bool:
    """Tells whether a camera or a pipe is to be read, from VIDEO..., --camera and --seconds.

    Raises:
        InputError: If there is nothing to read, or several kinds of it, or --seconds is given for
            files.
    """
    if bool(paths) == (camera is not None):
        raise InputError("give videos or folders, or - for a pipe, or --camera N")
    live = camera is not None or list(paths) == [Path("-")]
    if Path("-") in paths and not live:
        raise InputError("- reads one video from a pipe: give no other path")
    if seconds is not None and not live:
        raise InputError(f"--seconds {seconds:g} is for - and --camera")
    return live


def _limit_frames(context: typer.Context, pixels: int | None) -> int | None:
    """Sets the limit on frame sizes for as long as the command runs."""
    if pixels is not None:
        context.with_resource(frames_up_to(pixels))
    return pixels


# Its value is not passed on: the callback sets it.
MaxPixels = Annotated[
    int | None,
    typer.Option(
        callback=_limit_frames,
        help=f"Most pixels that a frame may have; {MAX_PIXELS} by default.",
    ),
]

# For commands that train: named like the fields of `Config`, except the repeatable options.
Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="PATH",
        help="Stores made by `originet prepare`, or a data set's root: "
        "<emotion>/<subject>/<clip>, a CSV file, or the data set of --dataset; or, for --task "
        "megc2019, the roots of SMIC, CASME II and SAMM.",
    ),
]
Results = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
Dataset = Annotated[
    str | None,
    typer.Option(help=f"Data set in a root: {_words(DATASETS)}; folder by default."),
]
Protocol = Annotated[
    str,
    typer.Option(
        help=f"How images are split: {_words(PROTOCOLS)}; paper augments them first, which leaks."
    ),
]
Recipe = Annotated[
    str,
    typer.Option(
        help=f"Settings to begin with, which the other options change: {_words(RECIPES)}."
    ),
]
Epochs = Annotated[
    int, typer.Option(help=f"Passes over the training images, at most {MOST_EPOCHS:,}.")
]
BatchSize = Annotated[int, typer.Option(help=f"Images per step, 3 to {MOST_IN_BATCH:,}.")]
LearningRate = Annotated[float, typer.Option(help="Adam's initial learning rate.")]
WeightDecay = Annotated[float, typer.Option(help="L2 penalty.")]
ClassWeights = Annotated[
    str, typer.Option(help=f"Class weights in the loss: {_words(CLASS_WEIGHTS)}.")
]
Sampling = Annotated[str, typer.Option(help=f"How an epoch draws images: {_words(SAMPLINGS)}.")]
LabelSmoothing = Annotated[
    float, typer.Option(help="Share of a label that is spread over all classes, below 1.")
]
MixupAlpha = Annotated[
    float, typer.Option(help="Mix images in shares drawn from Beta(alpha, alpha); 0 for none.")
]
Translation = Annotated[
    float, typer.Option(help="Most by which images are shifted, as a share of their side.")
]
Rotation = Annotated[
    list[int] | None,
    typer.Option(help="Rotation angle of the augmentation, -180 to 180; repeatable."),
]
Equalize = Annotated[bool, typer.Option(help="Add histogram-equalised training images.")]
ValidationFraction = Annotated[
    float, typer.Option(help="Share of the training clips held out for validation.")
]
Select = Annotated[
    str, typer.Option(help=f"Keep the weights of the best or the last epoch: {_words(SELECTIONS)}.")
]
Precision = Annotated[
    str,
    typer.Option(help=f"Arithmetic of training steps: {_words(PRECISIONS)}; tf32 needs a GPU."),
]
Seed = Annotated[
    list[int] | None,
    typer.Option(help=f"Seed of a whole run, from 0; repeatable, at most {MOST_SEEDS:,} times."),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        help=f"Height and width in pixels, 16 to {LARGEST_IMAGE}; for a root "
        f"{DEFAULTS.image_size} by default."
    ),
]
Variant = Annotated[str, typer.Option(help=f"OrigiNet's variant: {_words(VARIANTS)}.")]


def _network(name: str) -> str:
    """Finds a network in any case; raises InputError if its name cannot be one."""
    by_case = {each.lower(): each for each in NETWORKS}
    return Config(network=by_case.get(name.lower(), name)).network


# For commands that train one network.
Network = Annotated[
    str,
    typer.Option(
        callback=_network,
        help=f"The network: {_words(NETWORKS)}; timm:NAME; or your own module:function, called "
        "with in_channels, classes and image_size.",
    ),
]
OwnNetwork = Annotated[
    str | None,
    typer.Option(
        "--network",
        help="The module:function that a model's network comes from, if it is your own.",
    ),
]
Pretrained = Annotated[
    bool,
    typer.Option("--pretrained", help="Start from timm's weights, if they are on this machine."),
]

# For `originet loso` alone.
LeaveOut = Annotated[
    str,
    typer.Option(help=f"What a fold is tested on and trained without: {_words(LEAVE_OUT)}."),
]

# For the same commands, how to compute: named like the fields of the executors.
Executor = Annotated[
    str,
    typer.Option(help=f"Where folds are computed: {_words(EXECUTORS)} (a cluster, or here)."),
]
FoldsAtOnce = Annotated[
    int | None, typer.Option(help="Folds that take turns (serial); by default 1, on a GPU 8.")
]
CudaGraph = Annotated[
    bool | None,
    typer.Option(
        "--cuda-graph/--no-cuda-graph", help="Run steps as CUDA graphs on a GPU; on by default."
    ),
]
Workers = Annotated[
    int | None, typer.Option(help="Folds in parallel (processes); by default one per core.")
]
Threads = Annotated[
    int | None,
    typer.Option(help="Threads per fold (serial, processes); by default folds share the cores."),
]
Address = Annotated[
    str | None,
    typer.Option(help="Address of a Ray cluster; by default $RAY_ADDRESS, or Ray starts here."),
]
CpusPerTask = Annotated[
    int | None, typer.Option(help="Cores and threads per fold (ray); 1 by default.")
]
GpusPerTask = Annotated[
    float | None, typer.Option(help="GPUs per fold (ray), such as 0.25; 0 by default.")
]
Retries = Annotated[
    int | None,
    typer.Option(help="Restarts of a fold whose worker or node died (ray); 3 by default."),
]
Weights = Annotated[
    bool,
    typer.Option("--weights/--no-weights", help="Keep the weights of every fold."),
]

_REPEATABLE = {"rotation": "rotations", "seed": "seeds"}


class Run(NamedTuple):
    """The values of the options that all training commands share.

    Attributes:
        config: The settings; `read_clips` may replace the requested settings of images.
        executor: How folds are computed.
        device: Where folds are computed.
        clips: Arguments for `originet.cli.inputs.read_clips`, by name.
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
    recipe: Recipe = PAPER,
    epochs: Epochs = DEFAULTS.epochs,
    batch_size: BatchSize = DEFAULTS.batch_size,
    learning_rate: LearningRate = DEFAULTS.learning_rate,
    weight_decay: WeightDecay = DEFAULTS.weight_decay,
    class_weights: ClassWeights = DEFAULTS.class_weights,
    sampling: Sampling = DEFAULTS.sampling,
    label_smoothing: LabelSmoothing = DEFAULTS.label_smoothing,
    mixup_alpha: MixupAlpha = DEFAULTS.mixup_alpha,
    translation: Translation = DEFAULTS.translation,
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
    """Makes the settings, the executor and the device that the options specify.

    The recipe is not read here: `with_run_options` has put its values in.

    Raises:
        InputError: If a value is out of range, or there is no such executor or device.
    """
    given = dict(locals())
    keep_freed_memory()  # this process belongs to the command
    named = {_REPEATABLE.get(name, name): value for name, value in given.items()}
    fields = {field.name for field in dataclasses.fields(Config)}
    config = Config(**{k: v for k, v in named.items() if k in fields and v not in (None, [])})
    runner = executor_of(given)
    names = ("dataset", "annotations", "sheet", "frames", "task", "clips", "micro_only", "set_name")
    asked = {name: given[name] for name in (*names, "image_size", "crop_face")}
    return Run(config, runner, runner.pick_device(device), asked)


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of `run_of` to a command, and locks its output folder while it runs.

    Args:
        command: A function with a parameter `run`, a `Run`; a parameter `out`, a folder; and any
            others.

    Returns:
        The command with the signature that typer reads.
    """
    own = [p for p in signature(command).parameters.values() if p.name != "run"]
    shared = signature(run_of).parameters

    @functools.wraps(command)
    def with_options(context: typer.Context, **values: Any) -> None:
        given = {name: values.pop(name) for name in shared}
        recipe = recipe_of(given["recipe"])
        for name in given:
            field = _REPEATABLE.get(name, name)
            source: Any = context.get_parameter_source(name)
            if field in recipe and source.name == "DEFAULT":
                given[name] = recipe[field]
        run = run_of(**given)
        with held(values["out"]):  # first, since making images may take minutes
            command(run=run, **values)

    context = Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)
    given = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in (*own, *shared.values())]
    parameters = [context, *given]
    with_options.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_options


def executor_of(options: Mapping[str, Any]) -> "AnyExecutor":
    """Makes the executor that a command's options specify.

    Args:
        options: Values by name, as in `locals()` at the command's start.

    Returns:
        The executor.

    Raises:
        InputError: If there is no such executor, it does not take an option that was given, or a
            value is out of range.
    """
    name = options["executor"]
    if name not in EXECUTORS:
        raise InputError(f"--executor must be one of {_words(EXECUTORS)}, got {name!r}")
    from originet.evaluation import executors  # late, so that a wrong name is reported at once

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
