"""`images build`: what it built, or would build."""

from rich.console import Console
from rich.markup import escape

from devenv.base.json_types import JsonObject
from devenv.images.recipes.build_plan import BuildPlan, Piece
from devenv.ui.render import Report, shapes


def build(plan: BuildPlan, *, dry_run: bool) -> Report:
    """Report the pieces of a plan, which were built unless it is a dry run."""

    def text(out: Console) -> None:
        names = [escape(piece.name) for piece in plan.pieces]
        if not names:
            out.print("Nothing to do: everything is built.")
        elif dry_run:
            out.print("\n".join(names))
        else:
            out.print(f"Built {', '.join(names)}.", soft_wrap=True)

    return Report("images-build", lambda: build_shape(plan, dry_run=dry_run), text)


def build_shape(plan: BuildPlan, *, dry_run: bool) -> JsonObject:
    """Shape of `images build`. `disk` in bytes, at most; `seconds` as estimated for two cores."""
    return {
        "dry_run": dry_run,
        "pieces": shapes(_piece_shape, plan.pieces),
        "seconds": plan.seconds,
        "disk": plan.disk,
    }


def _piece_shape(piece: Piece) -> JsonObject:
    return {"name": piece.name, "recipe": piece.recipe, "file": piece.file}
