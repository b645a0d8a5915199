"""The server, and the command line that KServe reads when this module is imported."""

from sampan.sdk.arguments import make_parser
from sampan.sdk.model_server import ModelServer

__all__ = ["ModelServer", "parser", "args"]

parser = make_parser()
args, _ = parser.parse_known_args()
