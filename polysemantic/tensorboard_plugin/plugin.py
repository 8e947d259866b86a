from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any, NamedTuple

from tensorboard.backend.http_util import Respond
from tensorboard.plugins.base_plugin import FrontendMetadata, TBContext, TBPlugin
from typing_extensions import override
from werkzeug import Request, Response

from polysemantic.tensorboard_plugin.listing import KeptRun, find_runs

_SCRIPT, _STYLE = "text/javascript", "text/css"
_ASSETS = {
    "index.js": _SCRIPT,
    "store.js": _SCRIPT,
    "analysis.js": _SCRIPT,
    "matrix.js": _SCRIPT,
    "layout.js": _SCRIPT,
    "axes.js": _SCRIPT,
    "lives.js": _SCRIPT,
    "svg.js": _SCRIPT,
    "style.css": _STYLE,
}


class _Answer(NamedTuple):
    content: Any
    kind: str = "application/json"
    status: int = 200


class PolysemanticPlugin(TBPlugin):  # type: ignore[misc]  # TensorBoard has no types
    """Serves the tab "Polysemantic" and the snapshots below the log directory.

    It reads `weights/step_*.npz` and `config.yaml` of run directories, and writes nothing.

    Args:
        context: TensorBoard's settings, among them the log directory.
    """

    plugin_name = "polysemantic"

    def __init__(self, context: TBContext) -> None:
        self._logdir: str | None = context.logdir

    @override
    def is_active(self) -> bool:
        return next(find_runs(self._logdir), None) is not None

    @override
    def frontend_metadata(self) -> FrontendMetadata:
        # The tab has its own button to search for new runs.
        return FrontendMetadata(es_module_path="/index.js", tab_name="Polysemantic", disable_reload=True)

    @override
    def get_plugin_apps(self) -> dict[str, Callable[..., Any]]:
        routes = {"/runs": self._runs, "/run": self._run, "/weights": self._weights}
        return {f"/{name}": _served(_asset(name)) for name in _ASSETS} | {
            route: _served(answer) for route, answer in routes.items()
        }

    def _runs(self, request: Request) -> _Answer:  # noqa: ARG002
        return _Answer([run.name for run in find_runs(self._logdir)])

    def _run(self, request: Request) -> _Answer:
        # Importing torch takes seconds, so only a visitor of the tab waits for it.
        from polysemantic.tensorboard_plugin.matrices import describe

        run = self._requested(request)
        return _missing("run") if run is None else _Answer(describe(run))

    def _weights(self, request: Request) -> _Answer:
        from polysemantic.tensorboard_plugin.matrices import matrix

        run = self._requested(request)
        step, instance = (request.args.get(name, -1, int) for name in ("step", "instance"))
        if run is None or step not in run.snapshots:
            return _missing("run or step")
        try:
            return _Answer(matrix(run.snapshots[step], instance), "application/octet-stream")
        except ValueError as error:
            return _Answer(str(error), "text/plain", 422)

    def _requested(self, request: Request) -> KeptRun | None:
        name = request.args.get("run")
        return next((run for run in find_runs(self._logdir) if run.name == name), None)


def _asset(name: str) -> Callable[[Request], _Answer]:
    content = (resources.files("polysemantic.tensorboard_plugin") / "assets" / name).read_bytes()
    return lambda _: _Answer(content, _ASSETS[name])


def _missing(what: str) -> _Answer:
    return _Answer(f"there is no such {what}", "text/plain", 404)


def _served(answer: Callable[[Request], _Answer]) -> Callable[..., Any]:
    """A WSGI application for the answers of a function."""

    @Request.application
    def application(request: Request) -> Response:
        # `Respond` sets X-Content-Type-Options: nosniff, so that browsers trust the content type.
        content, kind, status = answer(request)
        response: Response = Respond(request, content, kind, status)
        return response

    return application
