"""Writes the pages of the site into a folder that is empty or was made by this before.

    PYTHONPATH=operator python -m tools.site FOLDER

`make docs` does so and has MkDocs render them (mkdocs.yml).
"""

import shutil
import sys
from pathlib import Path

from tools.site import crds, programs, reasons
from tools.site.sources import EXAMPLES, HOME, ROOT, SiteError, on_the_site, places

STYLE = Path(__file__).with_name("style.css")


def pages() -> dict[str, str]:
    """Path on the site -> Markdown. Raises SiteError."""
    known = places()
    made = {
        page: on_the_site(source, (ROOT / source).read_text(), known)
        for source, page in known.pages.items()
        if (ROOT / source).is_file() and source != "docs/index.md"
    }
    made[EXAMPLES] = examples()
    made[programs.PATH] = programs.page()
    made |= {crds.path_of(crd): crds.page(crd) for crd in crds.crds()}
    made |= dict(reasons.pages(made))
    return made


def examples() -> str:
    lines = ["# Examples", "", "Manifests to copy: those in `manifests/examples`."]
    for file in sorted((ROOT / "manifests" / "examples").glob("*.yaml")):
        lines += ["", f"## {file.name} {{ #{file.name} }}", ""]
        lines += ["```yaml", file.read_text().rstrip(), "```"]
    return "\n".join([*lines, ""])


def write(folder: Path) -> None:
    """Raises SiteError where the folder has something else in it."""
    if folder.exists() and any(folder.iterdir()) and not (folder / HOME).exists():
        raise SiteError(f"{folder} has files that are no pages of this site: name another folder")
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in pages().items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for source, path in places().files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / source, file)
    shutil.copyfile(STYLE, folder / STYLE.name)


def main() -> int:
    (folder,) = sys.argv[1:]
    try:
        write(Path(folder))
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
