"""The tool for dead letters, run in this process as an operator runs it."""

import io

from flickrhub_common.settings import RabbitSettings
from flickrhub_dlq.arguments import parser
from flickrhub_dlq.cli import Tool


async def run_tool(settings: RabbitSettings, *arguments: str) -> tuple[int, list[str], str]:
    """Its exit code, the lines it wrote, and what it said beside them."""
    out, err = io.StringIO(), io.StringIO()
    code = await Tool(parser().parse_args(arguments), out, err).run(settings)
    return code, out.getvalue().splitlines(), err.getvalue()
