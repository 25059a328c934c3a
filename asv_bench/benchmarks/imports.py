"""Time of the import in a fresh interpreter."""


def timeraw_import():
    return "import simsnn_ref"
