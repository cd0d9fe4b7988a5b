"""What the page says, in both languages at once.

Every text stands in the page in Chinese and in English, and CSS shows one of them: switching
needs no script, a search engine reads both, and a screen reader hears each in its own voice.
Texts lie in `leaderboard/site/i18n/zh.json` and `en.json`, with the same keys and the same
`{places}`; anything else is refused. A text may hold `code`, **strong** and [a link](address).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from markupsafe import Markup, escape

from cmedteb.errors import DataError
from cmedteb.leaderboard.board import Titled

LANGUAGES = ("zh", "en")
PLACE = re.compile(r"\{(\w+)\}")
# Texts that the script shows later go to it as data.
SCRIPTED = "js."
RICH = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\[([^\]]+)\]\(([A-Za-z0-9._/:#-]+)\)"), r'<a href="\2">\1</a>'),
)


class Texts:
    """All texts of the page.

    Args:
        folder: holds `zh.json` and `en.json`.

    Raises:
        DataError: keys or places of the two languages differ.
    """

    def __init__(self, folder: Path) -> None:
        self.tables: dict[str, dict[str, str]] = {
            language: json.loads((folder / f"{language}.json").read_text(encoding="utf-8"))
            for language in LANGUAGES
        }
        zh, en = (self.tables[language] for language in LANGUAGES)
        self.markup = {
            language: {key: _rich(text) for key, text in table.items()}
            for language, table in self.tables.items()
        }
        odd = sorted(set(zh) ^ set(en))
        odd += [
            key
            for key in sorted(set(zh) & set(en))
            if set(PLACE.findall(zh[key])) != set(PLACE.findall(en[key]))
        ]
        if odd:
            raise DataError(
                f"{folder}: zh.json and en.json disagree about {', '.join(odd)}. "
                "Give both the same keys with the same {places}."
            )

    def both(self, key: str, /, **values: object) -> Markup:
        """The text in both languages, as markup; values are escaped."""
        return pair(*(self._filled(language, key, values) for language in LANGUAGES))

    def plain(self, key: str, language: str, /, **values: object) -> str:
        """The text in one language, for an attribute or a file."""
        text = self.tables[language][key]
        return PLACE.sub(lambda match: str(values[match[1]]), text)

    def scripted(self) -> dict[str, dict[str, str]]:
        """Language -> the texts that the script needs."""
        return {
            language: {
                key.removeprefix(SCRIPTED): text
                for key, text in sorted(table.items())
                if key.startswith(SCRIPTED)
            }
            for language, table in self.tables.items()
        }

    def _filled(self, language: str, key: str, values: dict[str, object]) -> Markup:
        text = self.markup[language][key]
        return Markup(PLACE.sub(lambda match: str(escape(values[match[1]])), text))


def _rich(text: str) -> str:
    """A text as markup that still has its places."""
    marked = str(escape(text))
    for pattern, markup in RICH:
        marked = pattern.sub(markup, marked)
    return marked


def pair(zh: str, en: str) -> Markup:
    """Both, each in its own language; once where they are equal."""
    if zh == en:
        return Markup(escape(zh))
    return Markup(f'<span lang="zh">{escape(zh)}</span><span lang="en">{escape(en)}</span>')


def titled(title: Titled) -> Markup:
    """A title in both languages."""
    return pair(title.zh, title.en)
