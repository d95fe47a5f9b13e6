"""The C as an Arduino library: its sketch compiles as C++ and acts at its rate; nothing that is there is replaced."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rlx2_ray.cli.main import run
from rlx2_ray.export.c_reader import read_source
from tests.export.test_c import STRICT, TRAINED

# What the sketch takes of Arduino's core, on this machine's clock; three seconds' worth of loop() at most.
CORE = """\
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdio>
#define LED_BUILTIN 13
#define OUTPUT 1
#define HIGH 1
#define LOW 0
inline unsigned long micros() {
    return static_cast<unsigned long>(std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now().time_since_epoch()).count());
}
inline void pinMode(int, int) {}
inline int written = 0;
inline void digitalWrite(int, int) { written++; }
struct {
    void begin(long) {}
    void print(const char *text) { std::fputs(text, stdout); }
    void println(unsigned long number) { std::printf("%lu\\n", number); }
    void println(const char *text) { std::puts(text); std::fflush(stdout); }
} Serial;
"""
MAIN = """\
#include "Arduino.h"
#include "policy_drive.ino"
int main() {
    setup();
    unsigned long begin = micros();
    for (int step = 0; step < 20; step++) loop();
    return written == 20 && micros() - begin >= 19 * 2000 ? 0 : 1;
}
"""


def exported(folder: Path) -> Path:
    command = ["export", str(TRAINED), "--format", "c", "--arduino", "--out", str(folder / "policy.c")]
    assert run(command) == 0
    return folder / "policy_arduino"


@pytest.mark.skipif(shutil.which("c++") is None or shutil.which("cc") is None, reason="there is no compiler of C++")
def test_sketch_acts_at_its_rate(tmp_path: Path) -> None:
    library = exported(tmp_path)
    (tmp_path / "Arduino.h").write_text(CORE)
    (tmp_path / "main.cpp").write_text(MAIN)
    include = [f"-I{tmp_path}", f"-I{library / 'src'}", f"-I{library / 'examples' / 'policy_drive'}"]
    subprocess.run(["cc", *STRICT, "-c", str(library / "src" / "policy.c"), "-o", "policy.o"], cwd=tmp_path, check=True)
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", *include]
    subprocess.run(["c++", *flags, "main.cpp", "policy.o", "-o", "program"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "program"], timeout=60).returncode == 0


def test_library_holds_the_source_as_it_is_read(tmp_path: Path) -> None:
    library = exported(tmp_path)
    assert read_source(library / "src" / "policy.c").is_ours
    lines = dict(line.split("=", 1) for line in (library / "library.properties").read_text().splitlines())
    assert lines["name"] == "policy"
    assert lines["includes"] == "policy.h"
    assert [part.isdecimal() for part in lines["version"].split(".")] == [True] * 3
    assert all(lines.values())


def test_library_that_is_there_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy_arduino").mkdir()
    assert run(["export", str(TRAINED), "--format", "c", "--arduino", "--out", str(tmp_path / "policy.c")]) == 2
    assert "policy_arduino, which exists: remove it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["policy_arduino"]


@pytest.mark.parametrize("file_format", ["onnx", "parquet"])
def test_other_formats_are_no_library(file_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(TRAINED), "--format", file_format, "--arduino"]) == 2
    assert f"--arduino is for --format c, and --format is {file_format}" in capsys.readouterr().err
