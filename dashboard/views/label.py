"""Label a few faces: which run is best on these images."""

from dashboard import theme
from dashboard.components import pickers
from dashboard.sections import labelling

theme.page_header(
    "Try",
    "Label a few faces",
    "Which model is best on these faces? Label the faces on which the models differ most; the page "
    "says when you can stop.",
)
benchmark = pickers.benchmark_with_runs()
labelling.section(benchmark)
