# SPDX-License-Identifier: Apache-2.0
"""Folders of images: which are taken, how they become pixels, and what is said of the others:
test_images.py TOOL FIXTURES"""
import json
import os
import random
import resource
import shutil

from jobs import job, MODEL, png, PROFILE, rows_of, SIDE
from tool import FIXTURES, FOLDER, run, run_tests, write
from checks import each, expect, skip_all, test

try:
    import onnx
    from onnx import helper
except ImportError:
    onnx = None


def pixels_of(folder, name, channels=3, side=SIDE, order=None):
    """What a network of the size sees of an image, as numbers from 0 to 255, and the notes."""
    shape = ["N", side, side, channels] if order else ["N", channels, side, side]
    nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=order)] if order else []
    nodes += [helper.make_node("Relu", ["t" if order else "x"], ["y"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", 1, shape)],
                              [helper.make_tensor_value_info("y", 1, None)])
    model = FOLDER / "pixels.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7),
              model)
    profile = FOLDER / "pixels.json"
    rounds = write("rounds.csv", "instances,threads,batch,latency_ns\n1,1,1,400000\n")
    expect(run("profile", model, "--measurements", rounds, "-o", profile).code == 0, "no profile")
    output = FOLDER / "pixels.npy"
    value = job("--input", folder, "--output", output, "--scale", "1", model=model, profile=profile)
    return rows_of(output), value


def folder_of(name):
    folder = FOLDER / name
    folder.mkdir()
    return folder


def one_pixel_of(name, values, channels, network_channels=3):
    """The values that a picture of one colour becomes."""
    folder = folder_of(name)
    png(folder / "a.png", bytes(values) * (SIDE * SIDE), SIDE, SIDE, channels)
    rows, _ = pixels_of(folder, "a.png", network_channels)
    plane = SIDE * SIDE
    expect(all(len(set(rows[0][c * plane:(c + 1) * plane])) == 1 for c in range(network_channels)),
           "not one colour")
    return [rows[0][c * plane] for c in range(network_channels)]


@test
def colours_are_those_of_pillow():
    """L = (19595 R + 38470 G + 7471 B + 32768) / 65536, as in Pillow's convert("L")."""
    for index, (r, g, b) in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (12, 200, 77)]):
        grey = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16
        expect(one_pixel_of(f"grey{index}", (r, g, b), 3, 1) == [grey], "another grey", r, g, b)
        expect(one_pixel_of(f"rgb{index}", (r, g, b), 3) == [r, g, b], "another colour", r, g, b)
    expect(one_pixel_of("from grey", (90,), 1) == [90, 90, 90], "another colour")


@test
def cmyk_is_ink_on_white():
    """Pillow saved cmyk.jpg, inverted as Adobe does: one colour above another. R = (255 - C)(255 - K) / 255."""
    folder = folder_of("cmyk")
    shutil.copy(FIXTURES / "cmyk.jpg", folder / "a.jpg")
    colours, shades = pixels_of(folder, "a.jpg")[0][0], pixels_of(folder, "a.jpg", 1)[0][0]
    half = SIDE * SIDE // 2
    for part, (*inks, black) in enumerate([(10, 200, 60, 40), (0, 0, 0, 128)]):
        expected = [(255 - ink) * (255 - black) / 255 for ink in inks]
        for channel, value in enumerate(expected):
            seen = colours[(2 * channel + part) * half:(2 * channel + part + 1) * half]
            expect(all(abs(v - value) <= 2 for v in seen), "another colour", channel, value, seen[0])
        grey = sum(weight * value for weight, value in zip((0.299, 0.587, 0.114), expected))
        expect(all(abs(v - grey) <= 2 for v in shades[part * half:(part + 1) * half]), "another grey", grey)


@test
def transparency_lies_over_black():
    """Two pictures that look alike are alike, whatever the invisible part of one holds."""
    expect(one_pixel_of("half", (200, 100, 50, 128), 4) == [100, 50, 25], "another colour")
    expect(one_pixel_of("clear", (200, 100, 50, 0), 4) == [0, 0, 0], "the invisible is seen")
    expect(one_pixel_of("opaque", (200, 100, 50, 255), 4) == [200, 100, 50], "another colour")


def resized(pixels, size, to):
    """Pillow's resize() with BILINEAR along one line of numbers."""
    scale = size / to
    support = max(scale, 1)
    out = []
    for i in range(to):
        center = (i + 0.5) * scale
        first, last = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), size)
        weights = [max(0, 1 - abs((j - center + 0.5) / support)) for j in range(first, last)]
        out.append(sum(w * p for w, p in zip(weights, pixels[first:last])) / sum(weights))
    return out


@each([(str(side), side) for side in (5, 8, 16, 24, 48, 100)])
def sizes_are_centred(_, side):
    """A ramp from left to right, of fewer pixels or more than the network takes."""
    folder = folder_of(f"ramp{side}")
    ramp = [x * 255 // (side - 1) for x in range(side)]
    png(folder / "a.png", bytes(ramp) * side, side, side, 1)
    rows, _ = pixels_of(folder, "a.png", 1)
    line, expected = rows[0][:SIDE], resized(ramp, side, SIDE)
    expect(all(abs(a - b) <= 1 for a, b in zip(line, expected)), "another ramp", list(line), expected)
    middle = (line[SIDE // 2 - 1] + line[SIDE // 2]) / 2
    expect(abs(middle - 127.5) <= 1, "not centred", list(line))


@test
def the_middle_is_cut_out():
    folder = folder_of("wide")
    # Three squares side by side: the middle one is white.
    png(folder / "a.png", (bytes(SIDE) + b"\xff" * SIDE + bytes(SIDE)) * SIDE, 3 * SIDE, SIDE, 1)
    rows, _ = pixels_of(folder, "a.png", 1)
    expect(set(rows[0]) == {255}, "another part", set(rows[0]))


@test
def networks_with_channels_last():
    folder = folder_of("last")
    png(folder / "a.png", bytes((10, 20, 30)) * (SIDE * SIDE), SIDE, SIDE, 3)
    rows, _ = pixels_of(folder, "a.png", order=[0, 3, 1, 2])
    plane = SIDE * SIDE
    expect([rows[0][c * plane] for c in range(3)] == [10, 20, 30], "another layout")


@test
def what_a_folder_leaves_out_is_told():
    folder = folder_of("mixed")
    png(folder / "a.png", random.randbytes(3 * SIDE * SIDE), SIDE, SIDE, 3)
    for name in "b.webp", "c.bmp", "d.tif", "e.gif", "noending":
        shutil.copy(folder / "a.png", folder / name)
    (folder / "sub").mkdir()
    shutil.copy(folder / "a.png", folder / "f.jfif")  # JPEG files are also called so
    rows, value = pixels_of(folder, None)
    expect(value["samples"] == 2 and value["left_out"] == 6, "another number", value)
    for word in "6 of the 8", "b.webp", "noending", "sub":
        expect(word in value["notes"], f"{word} is not told", value["notes"])


@test
def files_that_are_none():
    """A pipe and a device have no end: they are told and skipped."""
    folder = folder_of("pipes")
    png(folder / "a.png", random.randbytes(3 * SIDE * SIDE), SIDE, SIDE, 3)
    os.mkfifo(folder / "b.jpg")
    (folder / "c.jpg").symlink_to("/dev/zero")
    (folder / "d.jpg").symlink_to("nowhere")
    (folder / "e.png").mkdir()
    rows, value = pixels_of(folder, None)
    expect(value["samples"] == 5 and value["warnings"] == 4, "another number", value)
    for word in "b.jpg': it is not a file", "c.jpg': it is not a file", "d.jpg': No such file":
        expect(word in value["notes"], f"not told: {word}", value["notes"])


@test
def an_array_that_is_no_file():
    pipe = FOLDER / "pipe.npy"
    os.mkfifo(pipe)
    result = run("run", MODEL, "--input", pipe, "--output", FOLDER / "never.npy", "--profile", PROFILE)
    expect(result.code == 1 and "is not a" in result.err, "not refused", result)


@test
def reasons_are_their_own():
    folder = folder_of("broken")
    png(folder / "whole.png", random.randbytes(3 * 64 * 64), 64, 64, 3)
    data = (folder / "whole.png").read_bytes()
    (folder / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    (folder / "b.png").write_bytes(data[:len(data) // 2])
    (folder / "c.png").write_bytes(data[:30])
    (folder / "d.png").write_bytes(data[:40] + b"\0\1\2\3" + data[44:])
    (folder / "e.png").write_bytes(b"")
    rows, value = pixels_of(folder, None)
    expect(value["warnings"] == 5, "another number", value)
    reasons = [line.split("': ", 1)[1] for line in value["notes"].splitlines() if "skipped" in line]
    expect(len(reasons) == 5 and all(r.strip() for r in reasons), "no reason", value["notes"])
    expect(not any("jpeg" in r.lower() for r in reasons[1:]), "the reason of another", reasons)


@test
def memory_is_bounded():
    """A picture of 1 x 60,000 pixels; and one of more than a limit is not decoded at all."""
    folder = folder_of("tall")
    png(folder / "a.png", bytes(3 * 60000), 1, 60000, 3)
    rows, value = pixels_of(folder, None)
    expect(value["warnings"] == 0, "not read", value)
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    expect(used < 1 << 20, "more than 1 GiB", used)
    result = run("run", MODEL, "--input", folder, "--output", FOLDER / "most.csv", "--profile", PROFILE,
                 "--max-pixels", "59999", "--json")
    expect(result.code == 0 and json.loads(result.out)["warnings"] == 1, "decoded", result)
    expect("--max-pixels" in result.err, "not told how", result)


if onnx is None or "without libvips" in run("run", MODEL, "--input", FOLDER, "--output",
                                            FOLDER / "y.csv").err:
    skip_all("libvips or python3-onnx is missing")
run_tests(need_engine=True)
