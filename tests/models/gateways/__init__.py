"""Models of the gateways that people run, small servers that answer as the recorded originals do.

Each holds sessions whose phones a test is; its engine is the text of a message (`hello`, `throws`, `sentthrow`, `dead`,
`hangs`), as it was in the recordings. They know nothing of homing. wuzapi's and GOWA's answer as their sources say.
"""

from tests.models.gateways.baileys_api import BaileysApi
from tests.models.gateways.base import Model, Session
from tests.models.gateways.evolution import Evolution
from tests.models.gateways.gowa import Gowa
from tests.models.gateways.waha import Waha
from tests.models.gateways.wppconnect import Wppconnect
from tests.models.gateways.wuzapi import Wuzapi
from tests.models.gateways.wwebjs_api import WwebjsApi

MODELS: dict[str, type[Model]] = {
    "waha": Waha,
    "evolution": Evolution,
    "wwebjs-api": WwebjsApi,
    "wppconnect": Wppconnect,
    "baileys-api": BaileysApi,
    "wuzapi": Wuzapi,
    "gowa": Gowa,
}

__all__ = ["MODELS", "Model", "Session"]
