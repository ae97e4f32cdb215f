"""`celeriac models push` and `pull`: models in OCI registries, where images are."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, URL
from celeriac_cli.publish import WAIT_S, Alias, Timeout, Version, Waits, send

Model = Annotated[
    Path,
    typer.Argument(
        help="A folder with a model as `publish` takes it, or a file of ONNX, XGBoost, LightGBM or CatBoost.", show_default=False
    ),
]
PlainHTTP = Annotated[bool, typer.Option("--plain-http", help="Use HTTP without TLS. Credentials are then sent in the clear.")]


def push(
    model: Model,
    reference: Annotated[
        str, typer.Argument(help="Where to push it: oci://HOST/REPOSITORY:TAG, for example oci://ghcr.io/acme/churn:3.", show_default=False)
    ],
    plain_http: PlainHTTP = False,
    json: JSON = False,
) -> None:
    """Push a model to an OCI registry, in the layout of CNCF ModelPack.

    Only the files that the registry lacks are sent. Credentials are those of `docker login`.
    """
    from celeriac._archives import files_of
    from celeriac._progress import ProgressBar
    from celeriac_cli import modelpack, oci, show

    target = oci.Reference.parse(reference)
    if target.digest:
        raise CLIError(f"{reference} has a digest, which follows from the model. Give only a tag.", Exit.USAGE)
    try:
        files = list(files_of(model))
        with oci.connected(target, plain_http=plain_http) as registry, ProgressBar(not json, target.name, "bytes") as bar:
            pushed = modelpack.push(registry, files, bar.show)
    except (ValueError, OSError) as error:
        raise CLIError(str(error), Exit.USAGE) from None
    if json:
        show.print_json({"reference": reference, "digest": pushed.digest, "size": pushed.size, "sent": pushed.sent})
    else:
        show.out().print(f"pushed {target.pinned(pushed.digest)}: sent {pushed.sent:,} of {pushed.size:,} bytes", soft_wrap=True)


def pull(
    reference: Annotated[
        str, typer.Argument(help="What to pull: oci://HOST/REPOSITORY:TAG or oci://HOST/REPOSITORY@sha256:….", show_default=False)
    ],
    name: Annotated[
        str | None, typer.Option(help="The name of the model.  \\[default: the name in its configuration]", show_default=False)
    ] = None,
    version: Version = None,
    alias: Alias = None,
    plain_http: PlainHTTP = False,
    wait: Waits = True,
    timeout: Timeout = WAIT_S,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Pull a model from an OCI registry, and publish it over the API as a new version.

    Its description is the reference with the digest that was pulled. Credentials are those of `docker login`.
    """
    from celeriac._progress import ProgressBar
    from celeriac_cli import modelpack, oci

    source = oci.Reference.parse(reference)
    with tempfile.TemporaryDirectory(prefix="celeriac-") as folder:
        try:
            with oci.connected(source, plain_http=plain_http) as registry:
                package = modelpack.read(registry)
                with ProgressBar(not json, source.name, "bytes") as bar:
                    modelpack.pull(registry, package, Path(folder), bar.show)
        except OSError as error:
            raise CLIError(
                f"The model cannot be written to {folder} ({error.strerror}). Set TMPDIR to another folder.", Exit.FAILED
            ) from None
        send(
            name or package.name, Path(folder), None, version=version, alias=alias, description=source.pinned(package.digest), format=None,
            wait_s=timeout if wait else 0, json=json, url=url,
        )  # fmt: skip
