"""Prompts are data: Jinja files with a block `system` and a block `user`, checked and hashed.

Whatever a document or query holds is inserted as text: it is never evaluated, and it is put
between markers that carry a code made from a hash of that very text, so that it cannot hold
the code that would end it.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from relevance_distillery.errors import UserError
from relevance_distillery.io.digests import hex_digest

BLOCKS = ("system", "user")
BOUNDARY = "boundary"  # the field that holds the code of the markers, see `boundary_of`
Messages = tuple[dict[str, str], ...]

_ONE_FILE = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)


class Prompt:
    """A prompt template, checked for what it must hold; error messages call it by its name.

    `hash`: twelve hexadecimal digits that change with any character of `source`.
    """

    def __init__(
        self, source: str, name: str, requires: Iterable[str] = (), allows: Iterable[str] = ()
    ) -> None:
        """Compile and check.

        `requires` are fields that must occur, such as `query` or `document.text`; those that it
        `allows` may occur besides, and `boundary` always may. UserError names file and field of a
        syntax error, a missing block or field, or a field that does not exist.
        """
        self.source = source.replace("\r\n", "\n")
        self.name = name
        self.requires, self.allows = tuple(requires), tuple(allows)
        self.hash = hex_digest(self.source)
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        try:
            tree = environment.parse(self.source)
            self._template = environment.from_string(self.source)
        except TemplateSyntaxError as error:
            raise UserError(
                f"prompt {name}, line {error.lineno}: {error.message}; see "
                "docs/how-to/llm-teacher.md"
            ) from error
        self._check(tree)

    @classmethod
    def read(
        cls, path: str | Path, requires: Iterable[str] = (), allows: Iterable[str] = ()
    ) -> Self:
        """A prompt from its file; UserError if it is missing or not UTF-8, or as `__init__`."""
        try:
            source = Path(path).expanduser().read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            raise UserError(f"prompt {path}: no such file; check the path") from error
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"prompt {path}: cannot be read ({type(error).__name__}); it must be a text "
                "file in UTF-8"
            ) from error
        return cls(source, str(path), requires, allows)

    def wordings(self, count: int) -> list[Self]:
        """This prompt, which was read from its file, and those beside it: `NAME-2.EXT` and so on.

        UserError where there are fewer than `count`, or two of them are the same.
        """
        path, found = Path(self.name).expanduser(), [self]
        while len(found) < count:
            beside = path.with_stem(f"{path.stem}-{len(found) + 1}")
            if not beside.is_file():
                raise UserError(
                    f"prompts={count}: {self.name} has {len(found) - 1} other wordings beside it; "
                    f"ask with at most prompts={len(found)}, or write {beside}"
                )
            found.append(self.read(beside, self.requires, self.allows))
            if found[-1].hash in [one.hash for one in found[:-1]]:
                raise UserError(f"prompts={count}: {beside} repeats another prompt word for word")
        return found

    def render(self, **fields: Any) -> Messages:
        """The messages of a request, from what the template may refer to, `boundary` included.

        A `{"role", "content"}` of the system, where that block has any text, and of the user;
        UserError where the template refers to something that a field does not have, or fails.
        """
        context = self._template.new_context(fields)
        captured: dict[str, list[str]] = {}
        for block in BLOCKS:
            context.blocks[block] = [_capture(block, context.blocks[block][-1], captured)]
        try:
            # The root runs once, so that what it sets at the top is known to both blocks.
            outside = "".join(self._template.root_render_func(context))
        except UndefinedError as error:
            raise UserError(
                f"prompt {self.name}: {error.message}; fields: {self._known_fields()}"
            ) from error
        except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
            # The error's own words could quote a document.
            raise UserError(
                f"prompt {self.name} cannot be rendered ({type(error).__name__}); check its "
                "expressions"
            ) from error
        if outside.strip():
            raise UserError(
                f"prompt {self.name} has text outside of the blocks system and user, which "
                "would not be sent: move it into one of them"
            )
        contents = {block: "".join(captured.get(block, ())).strip() for block in BLOCKS}
        if not contents["user"]:
            raise UserError(f"prompt {self.name}: the block user is empty; it asks for nothing")
        return tuple(
            {"role": block, "content": contents[block]} for block in BLOCKS if contents[block]
        )

    def _check(self, tree: nodes.Template) -> None:
        for block in BLOCKS:
            if block not in self._template.blocks:
                raise UserError(
                    f"prompt {self.name} has no block {block}: it needs "
                    f"{{% block {block} %}} … {{% endblock %}}"
                )
        if any(tree.find_all(_ONE_FILE)):
            raise UserError(
                f"prompt {self.name}: a prompt is one file; include and extends are off"
            )
        found = list(tree.find_all(nodes.Name))
        # Of set, for and macro arguments.
        own = {node.name for node in found if node.ctx in ("store", "param")}
        own |= {macro.name for macro in tree.find_all(nodes.Macro)}
        known = {field.partition(".")[0] for field in (*self.requires, *self.allows)}
        unknown = sorted(meta.find_undeclared_variables(tree) - own - known - {BOUNDARY, "self"})
        if unknown:
            raise UserError(
                f"prompt {self.name}: unknown field {', '.join(unknown)}; fields: "
                f"{self._known_fields()}"
            )
        names = {node.name for node in found if node.ctx == "load"}
        # What is read of them, as `document.text` or as `document["text"]`.
        parts = {node.attr for node in tree.find_all(nodes.Getattr)}
        parts |= {
            node.arg.value
            for node in tree.find_all(nodes.Getitem)
            if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str)
        }
        for field in self.requires:
            name, _, part = field.partition(".")
            if name not in names or (part and part not in parts):
                raise UserError(
                    f"prompt {self.name} lacks {{{{ {field} }}}}, so the model would not see it; "
                    f"it must hold {', '.join(self.requires)}"
                )

    def _known_fields(self) -> str:
        return ", ".join((*self.requires, *self.allows, BOUNDARY))


def boundary_of(*texts: str) -> str:
    """A code for the markers around texts, which none of them holds: sixteen digits of their hash.

    A text that held its own hash would have another one.
    """
    digest = hashlib.blake2b(digest_size=8)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    code = digest.hexdigest()
    # No such text is known; should one occur, the next hash is taken.
    return boundary_of(*texts, code) if any(code in text for text in texts) else code


def _capture(
    block: str, render: Callable[[Context], Iterator[str]], captured: dict[str, list[str]]
) -> Callable[[Context], Iterator[str]]:
    def keep(context: Context) -> Iterator[str]:
        captured[block] = list(render(context))
        return iter(())

    return keep
