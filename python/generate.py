# SPDX-License-Identifier: Apache-2.0
"""Writes qosbatch/native.py, what the public headers declare, in ctypes: generate.py INCLUDE OUTPUT

It reads the dialect of these headers, and fails on any declaration that it does not know."""
import keyword
import pathlib
import re
import sys
import textwrap

SCALARS = {"void": "None", "bool": "c_bool", "char": "c_char", "int": "c_int", "double": "c_double",
           "size_t": "c_size_t", "int64_t": "c_int64", "uint64_t": "c_uint64", "int32_t": "c_int32",
           "uint32_t": "c_uint32", "float": "c_float"}
HINTS = {"c_bool": "bool", "c_double": "float", "c_float": "float", "c_char_p": "str | None", "c_void_p": "int | None"}
BUILTIN = {"INVALID_ARGUMENT": "ValueError", "NO_MEMORY": "MemoryError", "IO": "OSError"}
COMMENT = r"/\*(?:(?!\*/).)*\*/"


def words(doc):
    """The text of a comment, or of several, without its frame and Doxygen's words."""
    text = re.sub(r"/\*+<?|\*/", "", doc)
    text = re.sub(r"^\s*\* ?", "", text, flags=re.M)
    text = re.sub(r"@since \S+|@file \S+|(?<=\S)[ \t]+$", "", text, flags=re.M)
    return text.strip().replace("\\", "\\\\").replace('"""', "'''")


def one_line(doc):
    return " ".join(words(doc).split())


def each_alone(member):
    """'double low, high' declares two members."""
    if "(" in member or "," not in member:
        return [member]
    first, *others = member.split(",")
    kind = re.match(r"(.*?)[\s*]*\w+(?:\[\w+\])*$", first)[1]
    return [first, *(f"{kind} {other.strip()}" for other in others)]


class Headers:
    """Declarations in order, as pairs of a kind and what it holds."""

    def __init__(self, include):
        self.folder = include / "qosbatch"
        self.constants, self.opaque, self.enums, self.structs, self.callbacks = {}, [], {}, {}, {}
        self.functions, self.inits, self.order, self.seen = {}, {}, [], set()
        for name in ("qosbatch", "planning", "lab"):
            self.read(name)
        missing = {path.stem for path in self.folder.glob("*.h")} - self.seen
        if missing:
            raise SystemExit(f"generate.py: no umbrella header includes {sorted(missing)}")

    def read(self, name):
        if name in self.seen:
            return
        self.seen.add(name)
        text = (self.folder / f"{name}.h").read_text()
        for other in re.findall(r"^#include <qosbatch/(\w+)\.h>", text, re.M):
            self.read(other)
        if name != "export":
            self.parse(name, text)

    def parse(self, name, text):
        doc = rf"((?:{COMMENT}\s*)?)"
        text = text.replace("\\\n", " ")
        text = re.sub(r"^static inline [^{]*\{.*?^\}", "", text, flags=re.M | re.S)
        for constant, value in re.findall(r"^#define QB_(\w+) (\d+)u?$", text, re.M):
            self.constants[constant] = int(value)
        for struct, value in re.findall(r"^#define QB_(\w+)_INIT\s+(.*)$", text, re.M):
            self.inits["qb_" + struct.lower()] = value
        text = re.sub(r"^#.*$", "", text, flags=re.M)
        text = re.sub(r"\bQB_(BEGIN|END)_DECLS\b", "", text)
        found = []
        for kind, pattern in (
                ("enum", rf"{doc}typedef enum (qb_\w+) \{{(.*?)\n\}} \2;"),
                ("struct", rf"{doc}typedef struct (qb_\w+) \{{(.*?)\n\}} \2;"),
                ("opaque", rf"{doc}typedef struct (qb_\w+) (\2);"),
                ("callback", rf"{doc}typedef ([\w ]+?) ?\(\*(qb_\w+)\)\((.*?)\);"),
                ("function", rf"{doc}QB_API ([^;{{]*?)\b(qb_\w+)\(([^;]*?)\);")):
            for match in re.finditer(pattern, text, re.S):
                found.append((match.start(), kind, match.groups()))
                text = text[:match.start()] + " " * (match.end() - match.start()) + text[match.end():]
        rest = re.sub(COMMENT, "", text, flags=re.S).strip()
        if rest:
            raise SystemExit(f"generate.py: {name}.h has a declaration of an unknown form: {rest[:200]}")
        for _, kind, groups in sorted(found, key=lambda f: f[0]):
            getattr(self, "add_" + kind)(*groups)

    def add(self, kind, name):
        self.order.append((kind, name))

    def add_opaque(self, doc, name, _):
        if name not in self.opaque:
            self.opaque.append(name)
            self.add("opaque", name)

    def add_enum(self, doc, name, body):
        members, last = [], -1
        for comment, member, value, behind in re.findall(
                rf"({COMMENT})?\s*\b(QB_\w+)(?: = (\d+))?,?\s*(/\*\*<(?:(?!\*/).)*\*/)?", body, re.S):
            last = int(value) if value else last + 1
            members.append((member, last, one_line(behind or comment)))
        self.enums[name] = (doc, members)
        self.add("enum", name)

    def add_struct(self, doc, name, body):
        pattern = rf"\s*((?:{COMMENT}\s*)*)([^;/]+);(?:\s*(/\*\*<(?:(?!\*/).)*\*/))?"
        self.structs[name] = (doc, [(one, one_line(behind or before))
                                    for before, member, behind in re.findall(pattern, body, re.S)
                                    for one in each_alone(" ".join(member.split()))])
        self.add("struct", name)

    def add_callback(self, doc, result, name, parameters):
        self.callbacks[name] = (result, parameters)
        self.add("callback", name)

    def add_function(self, doc, result, name, parameters):
        self.functions[name] = (doc, result.strip(), parameters)


def class_name(name):
    """Of a struct, an enumeration or a callback; an opaque type keeps its name."""
    return "".join(word.capitalize() for word in name.removeprefix("qb_").split("_"))


def member_name(enum, member):
    """QB_GAIN_OF_P95 of qb_gain_of is P95: without the words that both begin with."""
    own, parts = enum.split("_"), member.lower().split("_")
    while own and len(parts) > 1 and own[0] == parts[0]:
        own, parts = own[1:], parts[1:]
    return "_".join(parts).upper()


class Writer:
    def __init__(self, headers):
        self.h = headers
        self.lines = []
        self.statuses = []

    def base_type(self, name):
        if name in SCALARS:
            return SCALARS[name]
        if name in self.h.enums:
            return "c_int"
        if name in self.h.opaque:
            return name
        if name in self.h.callbacks or name in self.h.structs:
            return class_name(name)
        raise SystemExit(f"generate.py: unknown type '{name}'")

    def type(self, text):
        """The ctypes type of 'const char *', 'qb_profile *const *' and so on."""
        words_of = re.sub(r"\bconst\b|\bstruct\b", "", text)
        stars = words_of.count("*")
        name = words_of.replace("*", "").strip()
        if stars and name == "void":
            found, stars = "c_void_p", stars - 1
        elif stars and name == "char":
            found, stars = "c_char_p", stars - 1
        else:
            found = self.base_type(name)
        return "POINTER(" * stars + found + ")" * stars

    def declared(self, text):
        """A declaration without its semicolon: the name and the type."""
        pointer = re.fullmatch(r"(.*?)\(\*(\w+)\)\((.*)\)", text, re.S)
        if pointer:
            return pointer[2], self.prototype(pointer[1], pointer[3])
        match = re.fullmatch(r"(.*?)(\w+)((?:\[\w+\])*)", text, re.S)
        found = self.type(match[1])
        for size in re.findall(r"\[(\w+)\]", match[3]):
            found += f" * {self.h.constants[size.removeprefix('QB_')] if size.startswith('QB_') else size}"
        return match[2], found

    def parameters(self, text):
        parts = [part.strip() for part in text.split(",")]
        return [] if parts == ["void"] else [self.declared(part)[1] for part in parts]

    def prototype(self, result, parameters):
        return f"CFUNCTYPE({', '.join([self.type(result), *self.parameters(parameters)])})"

    def default(self, struct, text):
        """The members that an _INIT macro sets, beside the size, as text of Python."""
        text = text.strip()
        if re.fullmatch(r"QB__INIT\(\w+\)", text):
            return "{}"
        text = re.sub(r"\.size = sizeof\(\w+\),?", "", text)
        text = re.sub(r"\.(\w+) =", r'"\1":', text)
        for enum, (_, members) in self.h.enums.items():
            for member, value, _ in members:
                text = re.sub(rf"\b{member}\b", str(value), text)
        for constant, value in self.h.constants.items():
            text = re.sub(rf"\bQB_{constant}\b", str(value), text)
        return " ".join(text.split()).replace("{ ", "{").replace(" }", "}")

    def write_opaque(self, name):
        self.lines += [f"class {name}(Opaque):", "    pass", ""]

    def write_enum(self, name):
        doc, members = self.h.enums[name]
        self.lines += [f"class {class_name(name)}(enum.IntEnum):", f'    """{words(doc) or name}"""']
        for member, value, text in members:
            short = member_name(name, member)
            short += "_" if keyword.iskeyword(short) else ""
            self.lines.append(f"    {short} = {value}" + (f"  # {text}" if text else ""))
            if name == "qb_status" and value:
                self.statuses.append((member, value, text))
        self.lines.append("")

    def write_errors(self):
        """An exception for each status: NotFoundError for QB_ERROR_NOT_FOUND."""
        for member, value, text in self.statuses:
            kind = member.removeprefix("QB_ERROR_")
            bases = "Error" + (f", {BUILTIN[kind]}" if kind in BUILTIN else "")
            self.lines += [f"class {class_name(kind.lower())}Error({bases}):", f'    """{member}: {text}."""',
                           f"    status = {value}", ""]

    def write_struct(self, name):
        doc, members = self.h.structs[name]
        python = class_name(name)
        fields, hints, docs, enums = [], [], [], {}
        for text, comment in members:
            member, found = self.declared(text)
            fields.append(f'("{member}", {found})')
            base = re.sub(r"\bconst\b", "", text).split()[0]
            if base in self.h.enums and found == "c_int":
                enums[member] = class_name(base)
            hint = enums.get(member) or HINTS.get(found)
            if not hint:
                hint = ("int" if found.startswith("c_") and " * " not in found else
                        "str" if found.startswith("c_char *") else
                        found if found in map(class_name, self.h.structs) else "typing.Any")
            hints.append(f"    {member}: {hint}")
            docs.append(f"{member}: {comment}")
        wrapped = [textwrap.fill(line, 100, initial_indent="    ", subsequent_indent="        ") for line in docs]
        self.lines += [f"class {python}(Struct):", f'    """{words(doc)}', "", *wrapped, '    """', *hints, ""]
        self.lines += ["", f"{python}._fields_ = [", *[f"    {field}," for field in fields], "]",
                       f"{python}._enums_ = {{{', '.join(f'{k!r}: {v}' for k, v in enums.items())}}}",
                       f"{python}._initial_ = {self.default(name, self.h.inits[name]) if name in self.h.inits else '{}'}",
                       f"{python}._finish()", ""]

    def write_callback(self, name):
        self.lines += [f"{class_name(name)} = {self.prototype(*self.h.callbacks[name])}", ""]

    def write_function(self, name):
        _, result, parameters = self.h.functions[name]
        self.lines.append(f'{name} = declare("{name}", {"STATUS" if result == "qb_status" else self.type(result)}, '
                          f"[{', '.join(self.parameters(parameters))}])")

    def text(self):
        h = self.h
        soversion = f"0.{h.constants['VERSION_MINOR']}" if h.constants["VERSION_MAJOR"] == 0 else h.constants["VERSION_MAJOR"]
        self.lines += ['# SPDX-License-Identifier: Apache-2.0',
                       '"""All of the C interface, as the headers declare it: generated, do not edit."""',
                       "from __future__ import annotations", "",
                       "import enum", "import typing",
                       "from ctypes import (CFUNCTYPE, POINTER, c_bool, c_char, c_char_p, c_double, c_float, c_int, "
                       "c_int32,", "                    c_int64, c_size_t, c_uint32, c_uint64, c_void_p)", "",
                       "from .binding import STATUS, Error, Opaque, Struct, declare, load", "",
                       f'load("libqosbatch.so.{soversion}")', ""]
        self.lines += [f"{name} = {value}" for name, value in h.constants.items()] + [""]
        for kind, name in h.order:
            getattr(self, "write_" + kind)(name)
        self.write_errors()
        for name in h.functions:
            self.write_function(name)
        public = sorted({*map(class_name, [*h.enums, *h.structs]), *h.constants,
                         *(line.split()[1].split("(")[0] for line in self.lines if re.match(r"class \w+Error\(", line))})
        self.lines += ["", *textwrap.wrap(f"__all__ = {public!r}", 118, subsequent_indent="           ")]
        return "\n".join(self.lines) + "\n"


def native(include):
    return Writer(Headers(pathlib.Path(include))).text()


if __name__ == "__main__":
    pathlib.Path(sys.argv[2]).write_text(native(sys.argv[1]))
