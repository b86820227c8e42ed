"""`datasets`: list, show, upload, delete, download."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from packtrain.client.array_files import read_arrays
from packtrain.client.commands.connection import connect
from packtrain.client.commands.exit_codes import EXIT_REFUSED
from packtrain.client.commands.failures import Command, CommandGroup
from packtrain.client.commands.output import (
    JsonOption,
    print_deleted,
    print_fields,
    print_json,
    print_table,
    shown_bytes,
)
from packtrain.client.mnist import MIRRORS, download_mnist
from packtrain.client.names import dataset_name
from packtrain.client.resources import Dataset

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    help="List, show, upload, delete and download datasets.",
)
NameArgument = Annotated[str, typer.Argument(help="The dataset's name.")]


@app.command("list", cls=Command)
def list_datasets(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """List the datasets that the server holds.

    Example: packtrain datasets list
    """
    with connect(ctx) as client:
        found = list(client.list_datasets())
    if as_json:
        for dataset in found:
            print_json(dataset)
        return
    rows = [[d.id, d.origin, _splits(d), _features(d), _targets(d)] for d in found]
    print_table(["dataset", "origin", "rows", "features", "targets"], rows)


@app.command(cls=Command)
def show(ctx: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show a dataset.

    Example: packtrain datasets show digits
    """
    with connect(ctx) as client:
        _tell(client.get_dataset(name), as_json)


@app.command(cls=Command)
def upload(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name: 1 to 63 of a-z, 0-9 and -.")],
    files: Annotated[
        list[Path],
        typer.Argument(
            help="X.npy Y.npy, or one .npz with x and y (x_test and y_test for a further split), "
            "or one .csv."
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            help="The .csv's column of targets: its name, or its number from 0. Default: the last."
        ),
    ] = None,
    regression: Annotated[
        bool, typer.Option("--regression", help="Whole numbers are real targets, not classes.")
    ] = False,
    description: Annotated[
        str, typer.Option(help="What it is, where it is from, its licence.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Upload arrays as a dataset. Whole-numbered targets are classes, from 0; text is refused.

    Example: packtrain datasets upload flowers flowers.csv --target species_number
    """
    try:
        splits = read_arrays(files, target=target, regression=regression)
        x, y = splits.pop("train")
        with connect(ctx) as client:
            dataset = client.upload_dataset(name, x, y, splits=splits, description=description)
    except ValueError as error:
        typer.echo(f"packtrain: {error}", err=True)
        raise typer.Exit(EXIT_REFUSED) from None
    _tell(dataset, as_json)


@app.command(cls=Command)
def delete(ctx: typer.Context, name: NameArgument, as_json: JsonOption = False) -> None:
    """Delete an uploaded dataset.

    Example: packtrain datasets delete flowers
    """
    with connect(ctx) as client:
        client.delete_dataset(name)
    print_deleted(dataset_name(name), as_json)


@app.command(cls=Command)
def download(
    name: Annotated[str, typer.Argument(help="What to fetch: mnist.")],
    directory: Annotated[
        Path, typer.Option(help="The files go into its folder mnist, or into itself if named so.")
    ] = Path("datasets"),
    mirror: Annotated[
        list[str] | None, typer.Option(help="A URL to fetch from instead; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a public dataset, checksums verified, for `packtrain serve --datasets`.

    Example: packtrain datasets download mnist --directory datasets
    """
    if name != "mnist":
        raise typer.BadParameter(f"expected mnist, not {name!r}", param_hint="NAME")
    # The server names a dataset of IDX files after the folder that holds them.
    folder = directory if directory.absolute().name == name else directory / name
    for path, fetched in download_mnist(folder, mirror or MIRRORS):
        if as_json:
            print_json({"path": str(path), "fetched": fetched})
        else:
            typer.echo(f"{path} {'fetched' if fetched else 'is there already'}")
    if not as_json:
        served = shlex.quote(str(folder.parent))
        typer.echo(f"Offer it as datasets/mnist: packtrain serve --datasets {served}")


def _tell(dataset: Dataset, as_json: bool) -> None:
    if as_json:
        print_json(dataset)
        return
    print_fields(
        {
            "dataset": dataset.id,
            "origin": dataset.origin,
            "rows": _splits(dataset),
            "features": _features(dataset),
            "targets": _targets(dataset),
            "size": shown_bytes(dataset.size_bytes) if dataset.size_bytes else None,
            "sha256": dataset.digest,
            "created": dataset.create_time,
            "description": dataset.description,
        }
    )


def _is_read(dataset: Dataset) -> bool:
    """Whether the server has read it: a file is read when something first needs it."""
    return bool(dataset.digest or dataset.splits)


def _splits(dataset: Dataset) -> str:
    if not _is_read(dataset):
        return "not read yet"
    return ", ".join(f"{name} {rows}" for name, rows in dataset.splits.items())


def _features(dataset: Dataset) -> int | None:
    return dataset.features if _is_read(dataset) else None


def _targets(dataset: Dataset) -> str | None:
    if not _is_read(dataset):
        return None
    return f"{dataset.classes} classes" if dataset.classes else f"{dataset.targets} real"
