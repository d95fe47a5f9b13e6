"""An exported C source as a library for the Arduino IDE: a folder to put into its `libraries`, with a sketch."""

from __future__ import annotations

from pathlib import Path

from rlx2_ray import __version__
from rlx2_ray.export.c_companions import RATE_HZ
from rlx2_ray.export.c_source import Text, c_name


def folder_of(path: Path) -> Path:
    """Returns the library's folder for a source."""
    return path.with_name(f"{path.stem}_arduino")


def write_library(folder: Path, path: Path, text: Text, env_id: str) -> None:
    """Writes the library into a folder that is not there yet; `path` is where its source stands otherwise."""
    name, stem = c_name(path), path.stem
    files = {
        "library.properties": PROPERTIES.format(name=name, stem=stem, env_id=_in_line(env_id), version=_release()),
        f"src/{stem}.h": text.header,
        f"src/{stem}.c": text.source,
        f"examples/{name}_drive/{name}_drive.ino": SKETCH.format(
            name=name, stem=stem, macro=name.upper(), rate=RATE_HZ
        ),
    }
    for file, content in files.items():
        place = folder / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, encoding="utf-8")


def _in_line(text: str) -> str:
    return " ".join(text.split())


def _release() -> str:
    """The IDE takes three numbers alone."""
    return ".".join([*__version__.split(".")[:3], "0", "0"][:3])


PROPERTIES = """\
name={name}
version={version}
author=rlx2
maintainer=rlx2
sentence=A policy for {env_id}.
paragraph=Written by rlx2 export, of a trained network. For 32-bit chips: an AVR would copy the tables into its RAM.
category=Device Control
url=https://arxiv.org/abs/2205.15043
architectures=*
includes={stem}.h
"""

SKETCH = """\
// {name}_act() at {rate} Hz, with a look at every deadline: fill in readSensors() and drive().
#include <{stem}.h>

static const unsigned long PERIOD_US = 1000000UL / {rate}UL;
static float observation[{macro}_OBSERVATION_SIZE], action[{macro}_ACTION_SIZE];
static unsigned long due, missed;

static void readSensors() {{
  for (size_t index = 0; index < {macro}_OBSERVATION_SIZE; index++) observation[index] = 0.0f;  // yours
}}

static void drive() {{
  digitalWrite(LED_BUILTIN, action[0] > 0.0f ? HIGH : LOW);  // yours
}}

void setup() {{
  pinMode(LED_BUILTIN, OUTPUT);
  Serial.begin(115200);
  due = micros();
}}

void loop() {{
  while ((long)(micros() - due) < 0) {{}}
  readSensors();
  {name}_act(observation, action);
  for (size_t index = 0; index < {macro}_ACTION_SIZE; index++) {{
    if (action[index] != action[index]) {{
      Serial.println("a sensor gave no number; stop the machine here");
      for (;;) {{}}
    }}
  }}
  drive();
  due += PERIOD_US;
  if ((long)(micros() - due) > 0) {{
    missed++;
    due = micros();
    Serial.print("deadlines missed: ");
    Serial.println(missed);
  }}
}}
"""
