"""What `panal lesson` itself says, in the languages of the lessons."""

from __future__ import annotations

WORDS = {
    "en": {
        "how": "`panal lesson NAME` walks through one on the cluster that is up.",
        "where": "What they read and apply is in {}",
        "up": "(the cluster is up already)\n",
        "enter": "Enter runs it, s and Enter leaves it out: ",
        "same": "= as the README shows\n",
        "done": "= done\n",
        "other": "≠ the README shows something else; missing here:",
        "code": "≠ it failed with exit code {}",
        "ended": "≠ it did not end, and was ended",
        "clean": "What the lesson applied is deleted again.",
        "well": "All {} steps went as the README shows.",
        "differs": "Otherwise than the README shows: step {} of {}.",
    },
    "es": {
        "how": "`panal lesson NOMBRE` recorre una en el clúster que está en marcha.",
        "where": "Lo que leen y aplican está en {}",
        "up": "(el clúster ya está en marcha)\n",
        "enter": "Intro la ejecuta; s e Intro la salta: ",
        "same": "= como muestra el README\n",
        "done": "= hecho\n",
        "other": "≠ el README muestra otra cosa; aquí falta:",
        "code": "≠ falló con el código de salida {}",
        "ended": "≠ no terminaba y se ha interrumpido",
        "clean": "Se ha borrado lo que la lección había aplicado.",
        "well": "Los {} pasos salieron como muestra el README.",
        "differs": "Distinto de lo que muestra el README: paso {} de {}.",
    },
}
