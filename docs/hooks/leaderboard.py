"""MkDocs hook: the tables of the leaderboard, from the file that `jaxaudit leaderboard` wrote.

`python docs/hooks/leaderboard.py` runs the program on the built-in targets and keeps its file and its figure.
"""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE, RESULTS, FIGURE = "leaderboard.md", DOCS / "leaderboard.json", DOCS / "leaderboard.png"
BEST, SCORES = "<!-- best scores -->", "<!-- all scores -->"
SHOWN = 30  # scores of a target, of up to 200


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Puts the tables where the page wants them."""
    del kwargs
    if page.file.src_uri != PAGE:
        return markdown
    return markdown.replace(BEST, best()).replace(SCORES, scores())


def best() -> str:
    """The best score of every target, and on what it was chosen."""
    rows = importlib.import_module("jaxaudit.reports.leaderboard.rows")
    boards = _results().targets
    return f"{_table(rows.TARGET_ROWS, boards)}\n\n{rows.chosen(boards[0])}"


def scores() -> str:
    """The first scores of every target, folded."""
    rows = importlib.import_module("jaxaudit.reports.leaderboard.rows")
    parts = []
    for board in _results().targets:
        entries = rows.entries(board)
        title = f"{rows.name_of(board)}: {min(SHOWN, len(entries))} of {len(board.board.entries)} scores"
        lines = _table(rows.SCORE_ROWS, entries[:SHOWN]).splitlines()
        parts.append("\n".join([f'??? note "{title}"', "", *(f"    {line}" for line in lines)]))
    return "\n\n".join(parts)


def _results() -> Any:
    results = importlib.import_module("jaxaudit.results")
    return results.read_results(RESULTS, results.LeaderboardResults)


def _table(rows: Any, records: Any) -> str:
    kit = importlib.import_module("jaxaudit.reports.kit.rows")
    heading, lines = kit.turned(kit.read(rows, records))
    return "\n".join(f"| {' | '.join(line)} |" for line in [heading, ["---"] * len(heading), *lines])


def regenerate(out: Path = ROOT / "audits" / "leaderboard") -> None:
    """Runs the program, which goes on where it was stopped, and keeps what the page shows."""
    subprocess.run([sys.executable, "-m", "experiments", "leaderboard", f"--out={out}"], cwd=ROOT, check=True)
    shutil.copy(out / "results.json", RESULTS)
    shutil.copy(out / "leaderboard.png", FIGURE)


if __name__ == "__main__":
    regenerate()
