"""From a profile and the templates to the files of its tree.

Templates give YAML text. It is read strictly, looked through, and written anew in one form, so that the same input
gives the same bytes and an indentation that went wrong is an error here rather than in a cluster.
"""

import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import jinja2
import yaml

from tradewind.runtime.kubernetes.contexts import Images, platform_names, service_context
from tradewind.runtime.kubernetes.positions import ManifestError, read_documents
from tradewind.runtime.kubernetes.profiles import NamedProfile
from tradewind.runtime.kubernetes.service_folders import read_service, service_names

STAGES: Final = ("1-platform", "2-migration", "3-services")
"""Parts of a tree, in the order in which they are applied; each waits for the one before."""
_CLUSTER_KINDS: Final = ("Namespace",)
_WIDTH: Final = 110


def render(root: Path, profile: NamedProfile, version: str) -> dict[str, str]:
    """The files of a profile's tree: path below it -> text. ``version`` is that of our images.

    Raises:
        ManifestError: a template, ``service.toml`` or the profile is wrong; with file and, where there is one, line.
    """
    images = Images(profile.says.registry, version)
    environment = _environment(root, platform_names(profile, images))
    _check_services(root, profile)
    found: dict[str, str] = {}
    for stage, folder in (("1-platform", "platform"), ("2-migration", "migration")):
        for path in sorted((root / "k8s" / folder).glob("*.yaml.j2")):
            name = f"k8s/{folder}/{path.name}"
            found |= _file(f"{stage}/{path.name.removesuffix('.j2')}", name, environment, profile, {})
    for name in service_names(root):
        service = service_context(read_service(root, name), profile, images)
        if service.is_wanted:
            path_in_tree = f"3-services/{name}.yaml"
            found |= _file(path_in_tree, service.template, environment, profile, {"service": service})
    return found


def as_one(tree: Mapping[str, str]) -> str:
    """All documents of a tree, in the order in which they are applied."""
    return "".join(f"---\n{text}" for _, text in sorted(tree.items()))


def _environment(root: Path, names: Mapping[str, Any]) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.FileSystemLoader(root / "k8s" / "macros"), jinja2.FileSystemLoader(root)]),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, which is read strictly after this
        keep_trailing_newline=True,
    )
    environment.globals.update(names)
    return environment


def _check_services(root: Path, profile: NamedProfile) -> None:
    there_are = service_names(root)
    for name in profile.says.services:
        if name not in there_are:
            raise profile.lines.error(
                ("services", name), f"there is no service {name!r}; there are: {', '.join(there_are)}"
            )


def _file(
    path: str, template: str, environment: jinja2.Environment, profile: NamedProfile, names: Mapping[str, Any]
) -> dict[str, str]:
    """The one file of a template, by its path; none when it has nothing for this profile."""
    documents = read_documents(_text(template, environment, names), f"{template} as rendered for {profile.full_name}")
    _check_documents(documents, template, profile)
    if not documents:
        return {}
    head = f"# Written by `tradewind k8s render {profile.full_name}` from {template}; a change here is lost.\n"
    return {path: head + "---\n".join(_dump(document) for document in documents)}


def _text(template: str, environment: jinja2.Environment, names: Mapping[str, Any]) -> str:
    try:
        return environment.get_template(template).render(names)
    except jinja2.TemplateSyntaxError as error:
        raise ManifestError(f"{_shown(error.filename or template)}:{error.lineno}: {error.message}") from error
    except ManifestError:
        raise
    except jinja2.TemplateNotFound as error:
        raise ManifestError(f"{template}: there is no template {error.message}") from error
    except Exception as error:
        # Whatever a template's expression raises: the last of its own lines is where a person must look.
        raise ManifestError(f"{_line_of(error, template)}: {error}") from error


def _line_of(error: Exception, template: str) -> str:
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith((".j2", "<template>"))
    ]
    return f"{_shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else f"{template}:1"


def _shown(filename: str) -> str:
    """A template's path from the root of the repository."""
    for folder in ("/k8s/", "/services/"):
        if folder in filename:
            return folder.lstrip("/") + filename.rsplit(folder, 1)[1]
    return filename


def _check_documents(documents: list[Any], template: str, profile: NamedProfile) -> None:
    seen: set[tuple[str, str]] = set()
    for kind, name, namespace in (_names(document, template) for document in documents):
        if kind not in _CLUSTER_KINDS and namespace != profile.namespace:
            raise ManifestError(f"{template}: {kind} {name} must be in the namespace {profile.namespace}")
        if (kind, name) in seen:
            raise ManifestError(f"{template}: {kind} {name} is made twice")
        seen.add((kind, name))


def _names(document: Any, template: str) -> tuple[str, str, str | None]:
    try:
        return document["kind"], document["metadata"]["name"], document["metadata"].get("namespace")
    except (KeyError, TypeError) as error:
        raise ManifestError(f"{template}: this is no Kubernetes object: {str(document)[:80]!r}") from error


class _Dumper(yaml.SafeDumper):
    """Lists are indented below their key, as people write them, and nothing is an alias of something else."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dump(document: Any) -> str:
    return yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=_WIDTH, allow_unicode=True
    )


def stale_files(folder: Path, tree: Mapping[str, str]) -> Iterator[Path]:
    """Manifests below a folder that are not part of the tree any more."""
    if folder.is_dir():
        for path in sorted(folder.rglob("*.yaml")):
            if path.relative_to(folder).as_posix() not in tree:
                yield path
